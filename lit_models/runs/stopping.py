"""Stops training when it is asked to: Ctrl-C, SIGTERM and SIGHUP are acted on after the current step."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated, as the terminal was closed"}
PATIENCE = 10
"""Seconds that a validation may take after a signal. A longer one is left; the resumed run repeats it."""


class Stopped(Exception):
    """Training has stopped because of a signal.

    Args:
        number: of the signal.
        saved: whether the last step is in the checkpoint.
    """

    def __init__(self, number: int, *, saved: bool) -> None:
        self.number, self.saved = number, saved
        self.advice = ""
        """What to do next."""
        super().__init__(SIGNALS.get(signal.Signals(number).name, "stopped"))

    @property
    def exit_status(self) -> int:
        """The exit status of a process that a signal has stopped, as shells have it."""
        return 128 + self.number


class StopRequest:
    """A signal that asks this process to stop."""

    def __init__(self) -> None:
        self.number = 0
        """Number of the signal; 0 while there was none."""
        self.since = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes the signals. After the first one, the same signal has its usual effect again, at once."""
        if threading.current_thread() is not threading.main_thread():  # only the main thread may
            yield
            return
        numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
        before = {number: signal.getsignal(number) for number in numbers}

        def note(number: int, frame: FrameType | None) -> None:
            del frame
            self.number, self.since = number, time.monotonic()
            signal.signal(number, before[number] or signal.SIG_DFL)

        for number in numbers:
            if before[number] != signal.SIG_IGN:  # as under nohup
                signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)

    @property
    def overdue(self) -> bool:
        """Whether a signal has waited too long for the end of a validation."""
        return bool(self.number) and time.monotonic() - self.since > PATIENCE
