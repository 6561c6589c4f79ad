"""Writes files behind the training: in a thread, in order, one piece of work at a time."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager


class Writer:
    """Does pieces of work in a thread, in the order in which they are given.

    A piece is taken once the one before it is done: so at most one copy of a state waits in memory, files appear in the
    order in which a training in one thread would write them, and after a piece that failed none follows.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._pending: Future[None] | None = None

    def submit(self, work: Callable[[], None]) -> None:
        """Waits for the piece before this one, raising its error, and begins this one."""
        self.wait()
        self._pending = self._pool.submit(work)

    def wait(self) -> None:
        """Waits until everything is written; raises the error of what was not."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()


@contextmanager
def writing() -> Iterator[Writer]:
    """Yield a writer whose pieces of work are all done when the block ends, however it ends."""
    with ThreadPoolExecutor(1, "states") as pool:
        writer = Writer(pool)
        yield writer
        writer.wait()
