"""Every speed that the documents speak of, measured as a ratio in one run.

Both sides of a ratio run on this machine, minutes apart at most, on the same embedded servers with
the same durable settings, each on a fresh copy of the same database. They take turns, and the best
round of each counts: whatever else the machine does only ever makes a round slower.
"""
