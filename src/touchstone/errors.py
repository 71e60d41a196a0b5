"""What a user is told without a traceback; the command line prints the text and exits."""


class UsageError(Exception):
    """A setting or a file that cannot be used.

    Its text is the whole message: it names the setting or the file and says what would be right.
    """


class DivergedError(Exception):
    """A loss or weight that is no longer finite; the text names the iteration and the quantity."""


class InterruptionError(Exception):
    """A signal that asked a run to end, which it did at the end of an iteration.

    Attributes:
        signal: the signal's number.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.signal = signal
