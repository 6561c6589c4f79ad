"""A request to stop (Ctrl-C, Slurm's and the cloud's SIGTERM) that waits until the state is saved."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from analysis.interrupted import leave

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The training was asked to stop. Not an Exception: nothing shall take it for a failure.

    Attributes:
        code: the exit status that a shell expects, 128 and the signal's number.
    """

    def __init__(self, number: int, saved: bool = True) -> None:
        goes_on = "the state is saved; the same command goes on from it" if saved else "the same command goes on"
        super().__init__(f"{signal.Signals(number).name}: {goes_on}")
        self.number, self.saved = number, saved
        self.code = 128 + number

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[int, bool]]:
        """Pickled by its arguments, as an exception is made anew from them: joblib sends it to its parent."""
        return Interrupted, (self.number, self.saved)


class GpuLost(BaseException):
    """CUDA refuses all work in this process from now on. Not an Exception: the cell is to go on in another process."""

    def __init__(self, said: str) -> None:
        super().__init__(said)

    def __str__(self) -> str:
        """Return what happened, and what to do."""
        return (
            f"the GPU is lost to this process ({self.args[0]}): the cell goes on from its last saved state in a new "
            "one; where this repeats, look at `nvidia-smi` and the kernel's log for Xid errors"
        )


class Requests:
    """Whether a stop was asked for."""

    def __init__(self) -> None:
        self.number = 0
        self.insisted = False

    def listen(self) -> dict[signal.Signals, Any]:
        """Install the handlers and return the previous ones; none outside the main thread, which gets no signals."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {number: signal.signal(number, self.receive) for number in SIGNALS}

    def receive(self, number: int, _: FrameType | None) -> None:
        """Note the signal: a second Ctrl-C stops at once, and a third one ends the process.

        Raises:
            Interrupted: the second Ctrl-C; of a KeyboardInterrupt Lightning would make exit status 1.
        """
        if number == signal.SIGINT and self.insisted:
            leave()
        if number == signal.SIGINT and self.number:
            self.insisted = True
            raise Interrupted(number, saved=False)
        self.number = number


@contextmanager
def deferred() -> Iterator[Requests]:
    """Hold back SIGINT and SIGTERM while the block runs; does nothing outside the main thread."""
    requests = Requests()
    before = requests.listen()
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
