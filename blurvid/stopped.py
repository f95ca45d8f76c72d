"""The errors that the command line must know before torch is loaded."""


class TrainingStopped(Exception):
    """A training cannot go on, for a reason in the numbers; what was finished is kept."""


class Unreachable(OSError):
    """What lies at a URL cannot be had: it does not answer, or is not what it was."""
