"""Records runs: first on this machine, then in MLflow; and finds them again."""

import logging
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.errors import TrackingError
from bench.tracking.claim import TIMING, Claim, ClaimLostError, SupersededError, Timing
from bench.tracking.record import Record, attempt
from bench.tracking.server import AbsentError, Server, UnavailableError
from bench.tracking.spool import FINISHED, ClaimTakenError, Spool, locked, spools
from bench.tracking.states import FAILURE_TAG, HOST_TAG, PROGRESS_TAG, RunState, choose, state
from bench.tracking.upload import bring_in, patiently

START_SECONDS = 120.0
"""For which a cell waits at its start for a server that answered before, as while it is restarted; ours."""

__all__ = ["Record", "RunState", "Store"]

logger = logging.getLogger(__name__)


class Store:
    """One experiment: of a tracking server, and of what attempts left below `outputs` on this machine.

    Args:
        outputs: folder in which each cell has its own; None is a store that is only read.
        offline: record on this machine only; `python -m bench.sync` brings it in later.
        create: whether store and experiment are made where they are not there; else the store is only looked at.

    Attributes:
        absent: why there is nothing to look at on the server; "" where there is.

    Raises:
        TrackingError: the server cannot be reached or made.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        outputs: Path | None = None,
        *,
        offline: bool = False,
        create: bool = True,
        timing: Timing = TIMING,
    ) -> None:
        self._uri, self._outputs, self._experiment, self._timing = uri, outputs, experiment, timing
        self._offline, self.absent = offline, ""
        self._server: Server | None = None
        if not offline:
            self.open(create=create)

    def open(self, *, create: bool) -> None:
        """Looks for the server's experiment again; made where it is not there and `create` says so."""
        before = self.absent
        try:
            self._server = Server(self._uri, self._experiment, create=create)
            self.absent = self._server.absent
        except AbsentError as error:
            self.absent = str(error)
        if self.absent != before and self.absent:
            logger.warning("%s", self.absent)

    @property
    def server(self) -> Server:
        """The tracking server.

        Raises:
            TrackingError: the store is offline.
        """
        if self._server is None:
            raise TrackingError(self.absent or "tracking.offline=true: what other machines recorded cannot be seen")
        return self._server

    def find(self, cell_hash: str) -> RunState | None:
        """The run of a cell: the finished one where there is one, else the latest."""
        local = self._local(cell_hash).get(cell_hash)
        server = self._server
        if server is None or (local is not None and local.status == FINISHED):
            return local
        return choose(patiently(lambda: server.runs(cell=cell_hash), START_SECONDS)).get(cell_hash)

    def states(self) -> dict[str, RunState]:
        """The runs of all cells that have one, as `find`. One query for hundreds of runs."""
        if self.absent:
            self.open(create=False)  # it may have been made meanwhile
        server = self._server
        runs = patiently(server.cells, START_SECONDS) if server is not None else []
        return choose(runs) | self._local("*")

    def _spools(self, cell: str) -> list[Spool]:
        """This experiment's attempts that the server does not have whole; without a server, all."""
        wanted = []
        for spool in spools(self._outputs, cell) if self._outputs is not None else []:
            with suppress(FileNotFoundError):  # as below
                if (self._offline or not spool.uploaded) and spool.experiment == self._experiment:
                    wanted.append(spool)
        return wanted

    def _local(self, cell: str) -> dict[str, RunState]:
        """What counts without asking the server: cells that are finished; where there is no server, all."""
        known: dict[str, RunState] = {}
        for spool in self._spools(cell):
            with suppress(FileNotFoundError):  # whoever holds it removed it meanwhile
                run, uploaded = spool.run(), spool.uploaded
                if run.status == FINISHED or (self._offline and known.get(run.cell, run).status != FINISHED):
                    known[run.cell] = state(run, uploaded=uploaded)
        return known

    def check_writable(self) -> None:
        """Returns where cells can be recorded; asked once, before a sweep's first cell.

        Raises:
            RefusedError: the server says no; the message says who can mend it.
            UnavailableError: it does not answer.
        """
        if not self._offline:
            patiently(self.server.check_writable, START_SECONDS)

    def artifacts(self, run_id: str, folder: str) -> list[str]:
        """Paths of the files in a folder of a run's artifacts."""
        return self.server.artifacts(run_id, folder)

    def download(self, run_id: str, path: str) -> Path:
        """A local copy of one of a run's artifacts."""
        return self.server.download(run_id, path)

    def attach(self, run_id: str, path: str, write: Callable[[Path], None]) -> None:
        """Adds the file that `write` makes to the artifacts of the run `run_id`, which has ended, under `path`."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            write(file)
            self.server.upload(run_id, Path(folder), path)

    def params(self, run_id: str) -> dict[str, str]:
        """A run's params."""
        return dict(self.server.run(run_id).params)

    def upload(self, cell_hash: str) -> RunState | None:
        """The run of a cell, after what this machine alone knew of it was brought in, as far as the server lets."""
        if self._server is not None and self._outputs is not None:
            try:
                with locked(self._outputs / cell_hash, self._experiment) as place:
                    self._bring_in(cell_hash, place)
            except (ClaimTakenError, ClaimLostError, UnavailableError) as error:
                logger.warning("%s", error)
        return self.find(cell_hash)

    def _bring_in(self, cell_hash: str, place: str) -> None:
        for spool in self._spools(cell_hash):
            try:
                bring_in(spool, Claim(self.server, spool, place, self._timing))
            except SupersededError as error:
                logger.warning("%s: %s", cell_hash, error)

    @contextmanager
    def run(self, cell_hash: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> Iterator[Record]:
        """The record of a new attempt at a cell; in MLflow it goes on in the run that an earlier one left.

        Finished when the block ends, KILLED when it is interrupted, FAILED with the reason as tag and the traceback as
        artifact when it raises; the exception goes on. The cell is this process's until the block ends.

        Raises:
            ClaimTakenError: another worker has the cell, or has finished it.
            ClaimLostError: at the end, another worker has it now; nothing more was recorded.
            UnavailableError: the server does not answer at the start.
            TrackingError: the store was opened without `outputs`.
        """
        if self._outputs is None:
            raise TrackingError("a store that was opened without outputs is only read")
        folder, server = self._outputs / cell_hash, self._server
        start = {HOST_TAG: socket.gethostname(), PROGRESS_TAG: "0", FAILURE_TAG: "", **tags}
        with locked(folder, self._experiment) as place:
            if server is not None:
                patiently(lambda: self._bring_in(cell_hash, place), START_SECONDS)
            done = self._local(cell_hash).get(cell_hash)
            if done is not None and done.status == FINISHED:
                raise ClaimTakenError(f"cell {cell_hash} was finished meanwhile, on this machine")
            spool = Spool.create(
                folder, cell=cell_hash, experiment=self._experiment, name=name, tags=start, params=params
            )
            claim = Claim(server, spool, place, self._timing) if server is not None else None
            record = Record(spool, self._experiment, claim)
            try:
                _begin(record, claim)
                yield from attempt(record)
            finally:
                if claim is not None:
                    claim.release()


def _begin(record: Record, claim: Claim | None) -> None:
    """Claims the cell and uploads the attempt's first entries; an attempt that cannot begin is removed."""
    try:
        if claim is not None:
            patiently(claim.acquire, START_SECONDS)
        patiently(record.start, START_SECONDS)
    except BaseException as error:
        if claim is not None:
            claim.release(keep=False)
        record.remove()  # nothing was trained: there is nothing to bring in later
        if isinstance(error, SupersededError):
            raise ClaimTakenError(f"the cell was finished meanwhile: {error}") from None
        raise
