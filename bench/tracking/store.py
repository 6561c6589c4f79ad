"""Records runs: first on this machine, then in MLflow; and finds them again."""

import logging
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import TrackingError
from bench.tracking.asked import check_writable
from bench.tracking.claims import TIMING, Claim, ClaimLostError, ClaimTakenError, Timing, acquire
from bench.tracking.delivery import Courier, SupersededError, bring_in, patiently
from bench.tracking.record import FAILURE_TAG, PROGRESS_TAG, Record, attempt
from bench.tracking.server import AbsentError, Server, UnavailableError
from bench.tracking.spool import FINISHED, RECORD, Spool, spools
from bench.tracking.states import HOST_TAG, RunState, choose, spooled

START_SECONDS = 120.0
"""For which a cell waits at its start for a server that answered before, as while it is restarted; ours."""

__all__ = ["Record", "RunState", "Store"]

logger = logging.getLogger(__name__)


class Store:
    """One experiment: of a tracking server, and of what attempts left below `outputs` on this machine.

    Args:
        uri: of the tracking server or its database.
        experiment: its name.
        outputs: folder in which each cell has its own; None is a store that is only read.
        offline: record on this machine only; `python -m bench.sync` brings it in later.
        create: whether store and experiment are made where they are not there; else the store is only looked at.
        timing: of claims.

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
        return choose(patiently(lambda: server.runs(cell_hash), START_SECONDS)).get(cell_hash)

    def states(self, cell_hashes: Sequence[str]) -> dict[str, RunState]:
        """The runs of many cells, as `find`; cells without one are left out. One query for hundreds of runs."""
        if self.absent:
            self.open(create=False)  # it may have been made meanwhile
        server = self._server
        runs = patiently(server.runs, START_SECONDS) if server is not None else []
        found = choose(runs) | self._local("*")
        return {cell: found[cell] for cell in cell_hashes if cell in found}

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
                told, state = spool.summary(), spooled(spool)
                if told.status == FINISHED or (self._offline and known.get(told.cell, state).status != FINISHED):
                    known[told.cell] = state
        return known

    def check_writable(self) -> None:
        """Returns where cells can be recorded; asked once, before a sweep's first cell.

        Raises:
            RefusedError: the server says no; the message says who can mend it.
            UnavailableError: it does not answer.
        """
        if not self._offline:
            patiently(lambda: check_writable(self.server), START_SECONDS)

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
        server = self._server
        if server is not None:
            try:
                with self._claimed(cell_hash, server) as claim:
                    self._bring_in(cell_hash, claim)
            except (ClaimTakenError, ClaimLostError, UnavailableError) as error:
                logger.warning("%s", error)
        return self.find(cell_hash)

    def _bring_in(self, cell_hash: str, claim: Claim) -> None:
        for spool in self._spools(cell_hash):
            with spool.held() as free:
                if free:
                    try:
                        bring_in(self.server, spool, claim.ensure)
                    except SupersededError as error:
                        logger.warning("%s: %s", cell_hash, error)

    @contextmanager
    def run(self, cell_hash: str, name: str, tags: Mapping[str, str], params: Mapping[str, Any]) -> Iterator[Record]:
        """The record of a new attempt at a cell; in MLflow it goes on in the run that an earlier one left.

        Finished when the block ends, KILLED when it is interrupted, FAILED with the reason as tag and the traceback as
        artifact when it raises; the exception goes on. The cell is this process's until the block ends.

        Args:
            cell_hash: which cell; names its folder below `outputs`.
            name: of the run.
            tags: of the run, beside the store's own of host, progress and failure.
            params: of the run, kept as text.

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

        def create() -> Spool:
            return Spool.create(
                folder, cell=cell_hash, experiment=self._experiment, name=name, tags=start, params=params
            )

        if server is None:
            with _locked(folder, cell_hash):
                self._refuse_finished(cell_hash)
                spool = create()
                with spool.held():
                    yield from attempt(Record(spool, self._experiment))
            return
        with self._claimed(cell_hash, server) as claim:
            patiently(lambda: self._bring_in(cell_hash, claim), START_SECONDS)
            self._refuse_finished(cell_hash)
            spool = create()
            with spool.held():
                courier = Courier(server, spool, claim)
                try:
                    run_id = patiently(courier.start, START_SECONDS)
                except BaseException:
                    spool.remove()  # nothing was trained: there is nothing to bring in later
                    raise
                yield from attempt(Record(spool, self._experiment, courier, claim, run_id))

    def _refuse_finished(self, cell_hash: str) -> None:
        found = self.find(cell_hash)
        if found is not None and found.status == FINISHED:
            raise ClaimTakenError(
                f"cell {cell_hash} was finished meanwhile (run {found.run_id or 'on this machine only'})"
            )

    @contextmanager
    def _claimed(self, cell_hash: str, server: Server) -> Iterator[Claim]:
        claim = patiently(lambda: acquire(server, cell_hash, self._timing), START_SECONDS)
        try:
            yield claim
        finally:
            claim.release()


@contextmanager
def _locked(folder: Path, cell_hash: str) -> Iterator[None]:
    """The cell as this process's alone, where there is no server to ask; the kernel frees it when the process dies."""
    (folder / RECORD).mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / RECORD / "cell.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise ClaimTakenError(f"cell {cell_hash} is being trained by another process of this machine") from None
    try:
        yield
    finally:
        lock.release()
