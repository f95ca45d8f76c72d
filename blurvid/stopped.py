"""The error that the command line must know before torch is loaded."""


class TrainingStopped(Exception):
    """A training cannot go on, for a reason in the numbers; what was finished is kept."""
