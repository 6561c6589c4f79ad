"""Who trains a cell: one worker at a time, on any number of machines that share only the tracking server.

The cell's own MLflow run is the claim. Whoever wants the cell writes a tag of its own on that run, or makes the run
with it, and reads all of the cell's runs again: every write is seen by every later read. It steps back where another
worker holds the cell or asked earlier, waits for those that asked later to step back, and then writes its attempt as
the run's holder. (Source: L. Lamport, A new solution of Dijkstra's concurrent programming problem, 1974.)

Alive is who writes its tag again, which a holder's thread does every `beat` seconds. A worker that sees another one's
tag stand still for a whole lease, by its own clock, takes the cell over. So no two machines' clocks are compared. Where
two workers share the folder `outputs`, a file's lock decides at once (`bench.tracking.spool.locked`).

What does not hold: MLflow cannot refuse a request because a claim was lost meanwhile. A holder asks before it uploads;
one that is stopped for longer than the lease exactly between that question and its request still gets this one request
through, into the run that both have.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import TrackingError
from bench.tracking.server import MissingError, RefusedError, Server, UnavailableError
from bench.tracking.spool import FINISHED, RUNNING, ClaimTakenError, Run, Spool

CLAIM = "claim."
"""Begins the tag of a worker that holds or wants a run's cell; an id of its own follows. Gone when the run ends."""
HOLDER_TAG = "spool"
"""The attempt that a run holds the record of; who writes it last has the cell."""
HEARTBEAT_TAG = "heartbeat"
SILENT_SECONDS = 300.0
"""For who only looks: a run is interrupted that was not heard of for so long, by two machines' clocks; ours."""


class ClaimLostError(TrackingError):
    """The cell went to another worker, as this one was silent for too long."""


class SupersededError(TrackingError):
    """Another attempt's record of the cell counts."""


@dataclass(frozen=True)
class Timing:
    """Seconds between two beats of a holder, for which a tag must stand still, and between two looks at it. Ours."""

    beat: float = 10.0
    lease: float = 60.0
    poll: float = 2.0


TIMING = Timing()


@dataclass(frozen=True)
class Rival:
    """A claim as a run's tags tell it.

    The `id` is "" for a run that is RUNNING without a claim, as an earlier version left it. Its worker records the
    `attempt`, `holds` the cell or only asks for it, `asked` in seconds since 1970 by its own clock, has the lock of a
    `place`, and changes `beat` while it lives.
    """

    run_id: str
    id: str
    attempt: str
    holds: bool
    asked: float
    place: str
    who: str
    beat: str


def rivals(runs: Sequence[Run]) -> list[Rival]:
    """Return the claims to a cell, from the tags of its runs."""
    found = []
    for run in runs:
        beat, holder = run.tags.get(HEARTBEAT_TAG, ""), run.tags.get(HOLDER_TAG)
        claims = {key.removeprefix(CLAIM): value for key, value in run.tags.items() if key.startswith(CLAIM)}
        if run.status == RUNNING and not claims:
            claims = {"": json.dumps({"host": run.tags.get("host", ""), "attempt": holder})}
        for claim, value in claims.items():
            told = read(value)
            who = f"process {told.get('pid', 'unknown')} on {told.get('host') or 'a machine that it does not name'}"
            attempt, place = str(told.get("attempt", "")), str(told.get("place", ""))
            holds = claim == "" or attempt == holder
            found.append(Rival(run.id, claim, attempt, holds, told.get("asked", 0.0), place, who, value + beat))
    return found


def read(value: str) -> Mapping[str, Any]:
    """Return what a claim's tag says: host, pid, place, attempt, asked, heard; nothing where somebody edited it."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        told = json.loads(value)
        return {**told, "asked": float(told.get("asked", 0.0)), "heard": float(told.get("heard", "nan"))}
    return {}


class Claim:
    """A worker's wish for a cell, and from `acquire` to `release`, or to a lease of silence, its right to it.

    Args:
        spool: the attempt that is recorded or uploaded.
        place: of the lock that the caller holds on the cell's folder.

    Attributes:
        server: where the cell's runs are.
        run_id: the MLflow run that the attempt is recorded in.
    """

    def __init__(self, server: Server, spool: Spool, place: str, timing: Timing = TIMING) -> None:
        self.server, self._attempt, self._place, self._timing = server, spool.id, place, timing
        self._told, self._id, self._asked = spool.run(), uuid.uuid4().hex, time.time()
        self._tag = CLAIM + self._id
        self._dead: set[Rival] = set()
        self._asking = self._made = self._held = False
        self._lost: ClaimLostError | None = None
        self._heard = time.monotonic()
        self._lock, self._stop, self._thread = threading.Lock(), threading.Event(), threading.Thread()
        self.run_id = ""

    def acquire(self, *, adopt: bool = True) -> None:
        """Takes the cell; looks at another worker that has it until that one is seen to be alive or dead.

        Args:
            adopt: whether the run that another attempt left unfinished is gone on with.

        Raises:
            ClaimTakenError: another worker has it.
            SupersededError: the run of another attempt counts.
        """
        runs = self._runs()
        if runs and not adopt and not any(map(self._owns, runs)):
            raise SupersededError(f"run {runs[0].id} holds another attempt's record of the cell ({runs[0].status})")
        for rival in self._rivals(runs):
            if self._lives(rival):
                raise ClaimTakenError(f"cell {self._told.cell} is being trained by {rival.who}")
        try:
            self._ask(runs)
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._keep, name=f"claim {self._attempt}", daemon=True)
            self._thread.start()
            self._win()
        except BaseException:
            self.release(keep=False)
            raise

    def _runs(self) -> list[Run]:
        runs = self.server.runs(cell=self._told.cell)
        for run in runs:
            if run.status == FINISHED and not self._owns(run):
                raise SupersededError(f"run {run.id} holds another attempt's record of the cell ({FINISHED})")
        return runs

    def _owns(self, run: Run) -> bool:
        return run.tags.get(HOLDER_TAG) == self._attempt

    def _rivals(self, runs: Sequence[Run]) -> list[Rival]:
        """The claims of others; a run of this very attempt without one was left by a process that died."""
        mine = {(self._id, self._attempt), ("", self._attempt)}
        return [one for one in rivals(runs) if (one.id, one.attempt) not in mine and one not in self._dead]

    def _lives(self, rival: Rival) -> bool:
        """Return whether a rival does anything in a lease, for which it is watched; the claim of a dead one is removed.

        Who held the lock that this worker holds now is dead.
        """
        still, before = 0.0, time.monotonic()
        while rival.place != self._place and still < self._timing.lease:
            time.sleep(self._timing.poll)
            now = time.monotonic()
            still += min(now - before, 2 * self._timing.poll)  # a sleep of this machine's is no silence of the other's
            before = now
            if rival not in rivals(self._runs()):
                return True
        self._dead.add(rival)
        if rival.id:
            with contextlib.suppress(MissingError, RefusedError):
                self.server.untag(rival.run_id, CLAIM + rival.id)
        return False

    def _ask(self, runs: Sequence[Run]) -> None:
        """Writes the claim: on the attempt's own run, else on the one that was trained last, else on a new one."""
        if runs:
            self.run_id = max(runs, key=self._suits).id
            self.server.log(self.run_id, tags={self._tag: self._said()})
        else:
            tags = {"cell": self._told.cell, self._tag: self._said()}
            self.run_id, self._made = self.server.create_run(self._told.name, tags, self._told.started), True
        self._asking = True

    def _suits(self, run: Run) -> tuple[bool, bool, bool, int]:
        """Order by which a run is chosen; with this claim's tag: made by a request whose answer was lost."""
        return self._owns(run), self._tag in run.tags, HOLDER_TAG in run.tags, run.started

    def _said(self) -> str:
        told = {"host": socket.gethostname(), "pid": os.getpid(), "place": self._place, "attempt": self._attempt}
        return json.dumps({**told, "asked": self._asked, "heard": time.time()})

    def _win(self) -> None:
        """Returns as the holder, once nobody else asks; raises ClaimTakenError where another is before this one."""
        while True:
            looked = time.monotonic()
            others = self._rivals(self._runs())
            if any(one.holds or (one.asked, one.id) < (self._asked, self._id) for one in others):
                raise ClaimTakenError(f"cell {self._told.cell} was taken by another worker a moment ago")
            if not others:
                break
            self._lives(others[0])
        self.server.log(self.run_id, tags={HOLDER_TAG: self._attempt, self._tag: self._said()})
        if time.monotonic() - looked > self._timing.lease / 2:
            raise UnavailableError("the answer took so long that another worker may have thought this one dead")
        self._held, self._heard = True, looked

    def _keep(self) -> None:
        while not self._stop.wait(self._timing.beat):
            with contextlib.suppress(UnavailableError):  # a server that is away gives the cell to nobody else either
                try:
                    self.confirm()
                except ClaimLostError:
                    return

    def confirm(self) -> None:
        """Asks the server whether the cell is still this worker's, and tells it that this worker lives."""
        with self._lock:
            self.check()
            # In this order, before the look: what is won meanwhile, perhaps of another run, is not in it.
            now, run_id, held = time.monotonic(), self.run_id, self._held
            with contextlib.suppress(MissingError):  # the run was deleted: the upload makes another
                run = self.server.run(run_id)
                if held and not (self._owns(run) and (self._tag in run.tags or not self._asking)):
                    self._lose(
                        f"cell {self._told.cell} went to another worker, as this one was not heard of for "
                        f"{self._timing.lease:g} s (it was stopped, or cut off from the tracking server); it stops "
                        "here and records nothing more of the cell"
                    )
                if not self._stop.is_set():
                    self.server.log(run_id, tags={self._tag: self._said()})
            self._heard = now

    def _lose(self, why: str) -> None:
        self._lost = ClaimLostError(why)
        raise self._lost

    def check(self) -> None:
        """Raise ClaimLostError where it is known that another worker has the cell; asks nobody, and takes no time."""
        if self._lost is not None:
            raise self._lost

    def ensure(self) -> None:
        """Raise ClaimLostError where another worker has the cell, which a server that is away gives to nobody."""
        self.check()
        if not self._held:  # the server went away while another run was claimed
            self._claim_again()
        if time.monotonic() - self._heard > self._timing.lease / 2:
            with contextlib.suppress(UnavailableError):
                self.confirm()

    def renew(self) -> bool:
        """Returns whether the run was deleted; another one is then claimed."""
        if any(run.id == self.run_id for run in self.server.runs(cell=self._told.cell)):
            return False
        self._held = False
        self._claim_again()
        return True

    def _claim_again(self) -> None:
        try:
            self._ask(self._runs())
            self._win()
        except (ClaimTakenError, SupersededError) as error:
            self._lose(str(error))

    def release(self, *, keep: bool = True) -> None:
        """Gives the cell back, before its run ends; where the server is away, the others find out after a lease.

        Args:
            keep: whether a run that was made for this claim stays, as something was recorded in it.
        """
        with self._lock:
            self._stop.set()
            with contextlib.suppress(UnavailableError):
                if self._made and not keep:  # first: without its claim it would look like a run that somebody has
                    self.server.remove(self.run_id, "cell")
                if self._asking:
                    with contextlib.suppress(MissingError):
                        self.server.untag(self.run_id, self._tag)
                self._made = self._asking = False
        if self._thread.is_alive():
            self._thread.join(timeout=self._timing.poll)
