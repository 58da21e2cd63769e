"""The doctor: plays the planned scenarios on a deployed system and says what works and why not."""
