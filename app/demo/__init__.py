"""The demo company: people, and a history played through the real commands and the real relay."""
