"""An open attempt at a cell, as the training sees it."""

import contextlib
import logging
import math
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from analysis.store.uris import mask
from bench.errors import StorageError, SurroundingsError
from bench.overrides import typed
from bench.tracking.claim import HEARTBEAT_TAG, Claim, ClaimLostError
from bench.tracking.server import MissingError, UnavailableError
from bench.tracking.spool import FAILED, FINISHED, KILLED, Spool
from bench.tracking.states import FAILURE_TAG, PROGRESS_TAG, SPEED_TAG
from bench.tracking.upload import patiently, upload

TAG_CHARACTERS = 5000
"""Of a failure's tag; MLflow takes 8,000, servers before 3 took 5,000."""
HEARTBEAT_SECONDS = 30.0
"""Between two heartbeats that are recorded; ours."""
END_SECONDS = 15.0
"""For which a cell waits at its end; then its record stays on this machine. Spot instances stop 30 s after notice."""
PAUSES = (1.0, 30.0)
"""Seconds between two uploads to a server that is away: at first, and at most (doubled in between)."""

logger = logging.getLogger(__name__)


class Record:
    """An open attempt. Every method writes to this machine first and returns; a thread uploads.

    The caller holds the lock of the attempt's cell.

    Args:
        claim: to the cell, held by the caller; None offline.

    Attributes:
        run_id: MLflow's; "" offline.
        attempt: this attempt's own id.
        experiment: its name.
    """

    def __init__(self, spool: Spool, experiment: str, claim: Claim | None = None) -> None:
        self._spool, self._claim = spool, claim
        self.experiment, self.attempt, self.run_id = experiment, spool.id, ""
        self._beat = -math.inf
        self._new, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep_uploading, name=f"upload {spool.id}", daemon=True)

    def start(self) -> None:
        """Uploads the attempt's first entries, and begins the thread."""
        if self._claim is not None:
            upload(self._spool, self._claim)
            self.run_id = self._claim.run_id
            self._thread.start()

    def _keep_uploading(self) -> None:
        assert self._claim is not None  # for the type checker: offline the thread is not begun
        pause = PAUSES[0]
        while self._new.wait() and not self._stop.is_set():
            self._new.clear()
            try:
                upload(self._spool, self._claim)
                pause = PAUSES[0]
            except ClaimLostError:
                return  # the training learns of it from the claim
            except (UnavailableError, MissingError) as error:
                logger.info("not uploaded yet: %s", error)
                self._stop.wait(pause)
                pause = min(2 * pause, PAUSES[1])
                self._new.set()

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Records numbers at one training step.

        Raises:
            ClaimLostError: as `check`.
        """
        self.check()
        self._spool.metrics(values, step)
        self._new.set()

    def artifact(self, path: str, write: Callable[[Path], None]) -> None:
        """Stores the file that `write` makes under `path` in the run's artifacts.

        Raises:
            ClaimLostError: as `check`.
        """
        self.check()
        self._spool.artifact(path, write)
        self._new.set()

    def heartbeat(self, progress: float, images_per_second: float) -> None:
        """Says how far the training is, 0 to 1, and how fast; recorded every HEARTBEAT_SECONDS at most.

        Raises:
            ClaimLostError: as `check`.
        """
        self.check()
        now = time.monotonic()
        if now - self._beat >= HEARTBEAT_SECONDS:
            self._beat = now
            spoken = {PROGRESS_TAG: progress, SPEED_TAG: images_per_second, HEARTBEAT_TAG: time.time()}
            self._spool.tags({key: repr(float(value)) for key, value in spoken.items()})
            self._new.set()

    def check(self) -> None:
        """Returns while the cell is this worker's, as far as is known; takes no time.

        Raises:
            ClaimLostError: another worker has it, so that nothing may be recorded or saved any more.
        """
        if self._claim is not None:
            self._claim.check()

    def fail(self, error: Exception) -> None:
        """Ends the attempt with its reason and traceback: as a tag, shortened, and as an artifact.

        FAILED where the cell itself is at fault: it is trained again on request only. KILLED, as after a signal, where
        its surroundings are (disk, memory, network): the same command goes on.
        """
        text = mask(traceback.format_exc())
        reason = mask(f"{type(error).__name__}: {error}")[: TAG_CHARACTERS // 2]
        frames = mask("".join(traceback.format_tb(error.__traceback__)))
        where = frames[-(TAG_CHARACTERS - len(reason) - 1) :]  # the innermost say most
        self._spool.tags({FAILURE_TAG: f"{reason}\n{where}"})
        with contextlib.suppress(StorageError):  # the disk may be what is full; the tag says the most of it
            self._spool.artifact("failure.txt", lambda path: _write(path, text))
        outside = isinstance(error, SurroundingsError | UnavailableError | OSError | MemoryError)
        self.close(KILLED if outside else FAILED)

    def close(self, status: str) -> None:
        """Ends the attempt, and uploads what is left; what cannot be stays on this machine.

        Raises:
            ClaimLostError: the cell is another worker's.
        """
        self._spool.end(status)
        self._finish(END_SECONDS)

    def _finish(self, seconds: float) -> None:
        if self._claim is None:
            return
        claim = self._claim
        self._stop.set()
        self._new.set()
        self._thread.join()
        try:
            patiently(lambda: upload(self._spool, claim), seconds)
        except (UnavailableError, MissingError) as error:
            logger.warning(
                "%s: recorded on this machine (%s) and not wholly in MLflow, as %s. Start the same command again, or "
                "`python -m bench.sync %s %s`", self._spool.run().name, self._spool.folder, error,
                typed("outputs", self._spool.folder.parents[2]), typed("tracking.uri", mask(claim.server.uri)),
            )  # fmt: skip

    def discard(self) -> None:
        """Removes what was recorded of an attempt whose cell went to another worker."""
        with contextlib.suppress(ClaimLostError):
            self._finish(0.0)
        self.remove()

    def remove(self) -> None:
        """Removes what was recorded on this machine."""
        self._spool.remove()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def attempt(record: Record) -> Iterator[Record]:
    """Yields the record once, and ends it as the block of whoever uses it ends."""
    try:
        yield record
    except ClaimLostError:
        record.discard()
        raise
    except Exception as error:
        record.fail(error)
        raise
    except BaseException:
        record.close(KILLED)
        raise
    record.close(FINISHED)
