"""Brings what an attempt recorded from its spool to the tracking server: once, however often it is tried."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.errors import TrackingError
from bench.tracking.claims import Claim, ClaimLostError
from bench.tracking.server import PER_CALL, MissingError, Point, RefusedError, Server, UnavailableError
from bench.tracking.spool import FINISHED, RUNNING, Entry, Position, Spool, Summary

SPOOL_TAG = "spool"
"""The attempt that a run holds the record of; it is how a run is known again whose id was lost in a crash."""
PAUSES = (1.0, 30.0)
"""Seconds between two tries at a server that is away: at first, and at most (doubled in between)."""

T = TypeVar("T")
logger = logging.getLogger(__name__)


class SupersededError(TrackingError):
    """Another attempt's record of the cell counts."""


@dataclass
class _Batch:
    """Entries that go in one call."""

    kind: str
    end: int
    entries: list[Entry] = field(default_factory=list)


def _batches(spool: Spool, offset: int) -> Iterator[_Batch]:
    """Neighbours of one kind together, as far as MLflow takes them; each artifact, start and end alone."""
    batch: _Batch | None = None
    for end, entry in spool.entries(offset):
        joins = batch is not None and batch.kind == entry["kind"] and entry["kind"] in ("tags", "metrics")
        if batch is not None and not (joins and len(batch.entries) < PER_CALL):
            yield batch
            batch = None
        batch = batch or _Batch(entry["kind"], end)
        batch.entries.append(entry)
        batch.end = end
    if batch is not None:
        yield batch


def deliver(server: Server, spool: Spool, *, adopt: bool, ensure: Callable[[], None]) -> str:
    """The id of the run that then holds everything in the spool.

    Args:
        server: where to.
        spool: whose lock the caller holds.
        adopt: whether the run that another attempt left unfinished is gone on with; the caller has the cell's claim.
        ensure: called before each request; what it raises stops the upload.

    Raises:
        SupersededError: the cell's run belongs to another attempt.
        UnavailableError: the server does not answer; what was brought there stays, and is not brought again.
    """
    position = _position(server, spool, adopt=adopt, ensure=ensure)
    for batch in _batches(spool, position.offset):
        ensure()
        _SEND[batch.kind](server, position.run_id, spool, batch.entries)
        position = Position(batch.end, position.run_id)
        spool.advance(position)
        if batch.kind == "end" and batch.entries[-1]["status"] == FINISHED:
            spool.drop_files()
    return position.run_id


def _position(server: Server, spool: Spool, *, adopt: bool, ensure: Callable[[], None]) -> Position:
    """How far the upload has come, with the run that it goes to; a run that was deleted is made again."""
    position = spool.position()
    if position.run_id:
        with contextlib.suppress(MissingError, RefusedError):  # servers with users forbid what is not there
            run = server.run(position.run_id)
            if run.tags.get(SPOOL_TAG) == spool.id:
                return position
    position = Position(0, _run_id(server, spool, adopt=adopt, ensure=ensure))
    spool.advance(position)
    return position


def _run_id(server: Server, spool: Spool, *, adopt: bool, ensure: Callable[[], None]) -> str:
    summary = spool.summary()
    runs = server.runs(summary.cell)
    own = next((run for run in runs if run.tags.get(SPOOL_TAG) == spool.id), None)
    if own is not None:
        return own.id
    finished = next((run for run in runs if run.status == FINISHED), None)
    if finished is not None or (runs and not adopt):
        other = finished or runs[0]
        raise SupersededError(f"run {other.id} holds another attempt's record of the cell ({other.status})")
    ensure()
    if not runs:
        return server.create_run(summary.name, _tags(spool, summary), summary.started)
    server.log(runs[0].id, tags=_tags(spool, summary))
    server.reopen(runs[0].id)
    return runs[0].id


def _tags(spool: Spool, summary: Summary) -> dict[str, str]:
    return {"cell": summary.cell, SPOOL_TAG: spool.id}


def _start(server: Server, run_id: str, _: Spool, entries: list[Entry]) -> None:
    """A run's params cannot change: a later attempt's, on another machine, do not replace the first one's."""
    there = server.run(run_id).params
    params = {key: value for key, value in entries[0]["params"].items() if key not in there}
    server.log(run_id, tags=entries[0]["tags"], params=params)


def _send_tags(server: Server, run_id: str, _: Spool, entries: list[Entry]) -> None:
    tags: dict[str, str] = {}
    for entry in entries:
        tags |= entry["tags"]
    server.log(run_id, tags=tags)


def _send_metrics(server: Server, run_id: str, _: Spool, entries: list[Entry]) -> None:
    points = [
        Point(key, value, entry["time"], entry["step"]) for entry in entries for key, value in entry["values"].items()
    ]
    server.log(run_id, points=points)


def _send_artifact(server: Server, run_id: str, spool: Spool, entries: list[Entry]) -> None:
    server.upload(run_id, spool.folder / "files", entries[0]["path"])


def _send_end(server: Server, run_id: str, _: Spool, entries: list[Entry]) -> None:
    server.end(run_id, entries[-1]["status"], entries[-1]["time"])


_SEND: dict[str, Callable[[Server, str, Spool, list[Entry]], Any]] = {
    "start": _start,
    "tags": _send_tags,
    "metrics": _send_metrics,
    "artifact": _send_artifact,
    "end": _send_end,
}


def bring_in(server: Server, spool: Spool, ensure: Callable[[], None]) -> str:
    """The id of the run that an attempt that is over was brought to; without an end it was killed.

    Args:
        server: where to.
        spool: whose lock, and whose cell's claim, the caller holds.
        ensure: called before each request.

    Raises:
        SupersededError: as `deliver`. A finished attempt is then set aside, a piece of one is removed.
        UnavailableError: as `deliver`.
    """
    status = spool.summary().status
    if status == RUNNING:
        spool.end("KILLED")
    try:
        return deliver(server, spool, adopt=status == FINISHED, ensure=ensure)
    except SupersededError as error:
        if status == FINISHED:
            raise SupersededError(f"{error}; this one is kept in {spool.set_aside()}") from None
        spool.remove()
        raise


class Courier:
    """Uploads an attempt from a thread of its own while it is written, so that training never waits for the server.

    Args:
        server: where to.
        spool: the attempt, whose lock the caller holds.
        claim: to its cell; asked before each request.
    """

    def __init__(self, server: Server, spool: Spool, claim: Claim) -> None:
        self._server, self._spool, self._claim = server, spool, claim
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._carry, name=f"courier {spool.id}", daemon=True)

    @property
    def uri(self) -> str:
        """Of the server."""
        return self._server.uri

    def start(self) -> str:
        """The id of the run, once the attempt's first entries are in it.

        Raises:
            SupersededError, UnavailableError: as `deliver`.
        """
        run_id = self._deliver()
        self._thread.start()
        return run_id

    def wake(self) -> None:
        """Says that there is something new."""
        self._wake.set()

    def _deliver(self) -> str:
        return deliver(self._server, self._spool, adopt=True, ensure=self._claim.ensure)

    def _carry(self) -> None:
        pause = PAUSES[0]
        while self._wake.wait() and not self._stop.is_set():
            self._wake.clear()
            try:
                self._deliver()
                pause = PAUSES[0]
            except (ClaimLostError, SupersededError):
                return  # the training learns of it from the claim
            except (UnavailableError, MissingError) as error:
                logger.info("not uploaded yet: %s", error)
                self._stop.wait(pause)
                pause = min(2 * pause, PAUSES[1])
                self._wake.set()

    def close(self, seconds: float) -> str:
        """Why not everything was uploaded, after trying for so long; "" where it was.

        Raises:
            ClaimLostError, SupersededError: the cell is another worker's.
        """
        self._stop.set()
        self._wake.set()
        self._thread.join()
        try:
            patiently(self._deliver, seconds)
        except (UnavailableError, MissingError) as error:
            return str(error)
        return ""


def patiently(action: Callable[[], T], seconds: float) -> T:
    """What `action` gives, asked again for so many seconds while the server is away, or a run was just deleted.

    Raises:
        UnavailableError: the server is still away after that time.
        MissingError: the run is still missing after that time.
        RefusedError: at once.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return action()
        except RefusedError:
            raise
        except (UnavailableError, MissingError):
            if time.monotonic() > until:
                raise
            time.sleep(PAUSES[0])
