"""Uploads what an attempt recorded from its folder to MLflow: once, however often it is tried."""

import time
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import TypeVar

from bench.tracking.claim import Claim, SupersededError
from bench.tracking.server import PER_CALL, MissingError, Point, RefusedError, UnavailableError
from bench.tracking.spool import FINISHED, KILLED, RUNNING, Entry, Position, Spool

PAUSE_SECONDS = 1.0
"""Between two tries at a server that is away."""

T = TypeVar("T")


def upload(spool: Spool, claim: Claim) -> None:
    """Brings everything in the folder into the run that is claimed, from where an earlier call stopped.

    The caller holds the lock of the attempt's cell. What is uploaded when an error comes is not uploaded again.

    Args:
        claim: to the cell; asked before each request, and released before the run ends.

    Raises:
        MissingError: the run was deleted, and could not be made again.
        RefusedError: the server says no.
    """
    position = spool.position()
    if position.run_id != claim.run_id:
        position = Position(0, claim.run_id)
        spool.advance(position)
    for end, entries in _batches(spool, position.offset):
        claim.ensure()
        try:
            _send(spool, claim, entries)
        except (MissingError, RefusedError):  # servers with users forbid what is not there
            if not claim.renew():
                raise
            return upload(spool, claim)
        spool.advance(Position(end, claim.run_id))
        if entries[-1].get("status") == FINISHED:
            spool.drop_files()
    return None


def _batches(spool: Spool, offset: int) -> Iterator[tuple[int, list[Entry]]]:
    """Entries that go in one call, and the offset behind them: tags or metrics in a row, as many as MLflow takes."""
    for kind, group in groupby(spool.entries(offset), key=lambda pair: pair[1]["kind"]):
        pairs = list(group)
        most = PER_CALL if kind in ("tags", "metrics") else 1
        for start in range(0, len(pairs), most):
            part = pairs[start : start + most]
            yield part[-1][0], [entry for _, entry in part]


def _send(spool: Spool, claim: Claim, entries: list[Entry]) -> None:
    server, run_id, last = claim.server, claim.run_id, entries[-1]
    tags = {key: value for entry in entries for key, value in entry.get("tags", {}).items()}
    match last["kind"]:
        case "start":  # a param cannot change: a later attempt's, on another machine, do not replace the first one's
            there = server.run(run_id)
            server.log(run_id, tags=tags, params={k: v for k, v in last["params"].items() if k not in there.params})
            if there.status not in (RUNNING, FINISHED):
                server.reopen(run_id)
        case "tags":
            server.log(run_id, tags=tags)
        case "metrics":
            points = [
                Point(k, v, entry["time"], entry["step"]) for entry in entries for k, v in entry["values"].items()
            ]
            server.log(run_id, points=points)
        case "artifact":
            server.upload(run_id, spool.folder / "files", last["path"])
        case "end":
            claim.confirm()
            claim.release()
            server.end(run_id, last["status"], last["time"])


def bring_in(spool: Spool, claim: Claim) -> str:
    """Returns the id of the run that an attempt which is over was uploaded to; without an end it was killed.

    Args:
        claim: to its cell, not yet acquired.

    Raises:
        SupersededError: another attempt's record counts; a finished one is then set aside, a piece of one is removed.
    """
    status = spool.run().status
    try:
        claim.acquire(adopt=status == FINISHED)
        if status == RUNNING:
            spool.end(KILLED)
        upload(spool, claim)
    except SupersededError as error:
        if status == FINISHED:
            raise SupersededError(f"{error}; this one is kept in {spool.set_aside()}") from None
        spool.remove()
        raise
    finally:
        claim.release()
    return claim.run_id


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
            time.sleep(PAUSE_SECONDS)
