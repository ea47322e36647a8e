"""Stops a run when it is asked to: Ctrl-C, SIGTERM and SIGHUP are acted on after the current step."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import lightning as L
import torch

SIGNALS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "terminated, as the terminal was closed"}
PATIENCE = 10
"""Seconds that a validation may take after a signal. A longer one is left; the resumed run repeats it."""
LONGEST_PACE = 1000
"""Most batches between two moments at which processes ask each other."""


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

    def after(self, seconds: float) -> int:
        """Number of a signal that came at least so many seconds ago; otherwise 0."""
        return self.number if time.monotonic() - self.since >= seconds else 0


class Agreement:
    """Numbers that all processes of a run agree on. They ask each other in the same batches, about twice a second.

    Args:
        trainer: of this process.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        self.trainer, self.start = trainer, time.monotonic()
        self.calls = self.next_call = 0

    def is_due(self) -> bool:
        """Whether the processes ask each other in this batch. Called once a batch, in all of them."""
        self.calls += 1
        return self.calls >= self.next_call

    def largest(self, *numbers: int, longest_pace: int = LONGEST_PACE) -> list[int]:
        """The largest of all processes' numbers, at each place.

        Args:
            numbers: of this process.
            longest_pace: most batches until they ask again.
        """
        trainer = self.trainer
        if trainer.world_size == 1:
            return list(numbers)
        pace = max(1, int(self.calls / (2 * (time.monotonic() - self.start) + 1e-9))) if trainer.is_global_zero else 0
        votes = torch.tensor([*numbers, min(pace, longest_pace)], device=trainer.strategy.root_device)
        torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
        *agreed, pace = votes.tolist()
        self.next_call = self.calls + pace
        return agreed


class EvaluationStop:
    """Leaves a validation or a test between two batches after a signal.

    Args:
        request: notes the signals of this process.
        trainer: of this process.
        batches: how many each dataloader has. Processes that have different numbers cannot ask each other, and finish.
        patience: seconds that the evaluation may take after the signal.
    """

    def __init__(
        self, request: StopRequest, trainer: L.Trainer, batches: Sequence[int | float], *, patience: float
    ) -> None:
        self.request, self.patience, self.agreement = request, patience, Agreement(trainer)
        total = sum(batches)
        count = int(total) if math.isfinite(total) else -1
        most, least = self.agreement.largest(count, -count)
        self.can_ask = trainer.world_size == 1 or (most == -least and count >= 0)

    def after_batch(self) -> None:
        """Called after each batch.

        Raises:
            Stopped: a process has got a signal.
        """
        if self.can_ask and self.agreement.is_due():
            (number,) = self.agreement.largest(self.request.after(self.patience))
            if number:
                raise Stopped(number, saved=False)
