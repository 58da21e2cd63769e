"""What a person can put right, told in one line."""


class EmbeddedError(Exception):
    """One clear line on why a server or the system cannot be started."""
