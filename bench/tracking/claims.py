"""Who trains a cell: one worker at a time, on any number of machines that share only the tracking server.

A claim is a name that the server lets exist once (`<cell>-<generation>`), with a token of its holder's and a beat that
a thread of the holder's counts up. A worker that dies stops counting: another one that saw the beat stand still for a
whole lease, by its own clock, makes the next generation, which again only one can. So no two machines' clocks are
compared. On the same machine a dead holder is known at once.

What does not hold: MLflow cannot refuse a request because a claim was lost meanwhile. A holder asks before it uploads;
one that is stopped for longer than the lease exactly between that question and its request still gets this one request
through.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from bench.errors import TrackingError
from bench.tracking.server import MissingError, RefusedError, TakenError, UnavailableError


class ClaimTakenError(TrackingError):
    """The cell is another worker's, or was finished by one."""


class ClaimLostError(TrackingError):
    """The cell went to another worker, as this one was silent for too long."""


@dataclass(frozen=True)
class Timing:
    """Seconds. Ours.

    Attributes:
        beat: between two beats of a holder.
        lease: for which a beat must stand still before the holder counts as dead.
        poll: between two looks of a worker that waits.
    """

    beat: float = 10.0
    lease: float = 60.0
    poll: float = 2.0


TIMING = Timing()
_over: set[str] = set()
"""Tokens of claims that this process gave back, also where the server was away and still has them."""


class Registry(Protocol):
    """What is needed of a tracking server: see bench.tracking.server.Server."""

    def create_claim(self, name: str, tags: Mapping[str, str]) -> None:
        """Makes a claim, or raises TakenError."""

    def claims(self, prefix: str) -> Mapping[str, Mapping[str, str]]:
        """The tags of every claim whose name begins so, by name."""

    def mark_claim(self, name: str, key: str, value: str) -> None:
        """Sets the tag `key` of the claim `name` to `value`, or raises MissingError."""

    def delete_claim(self, name: str) -> None:
        """Removes a claim."""


@dataclass(frozen=True)
class Owner:
    """A process, and where it can be looked for.

    Attributes:
        token: of this one claim.
        machine: where `pid` means something: the running system's id and its process namespace; "" is unknown.
        born: when the process started, in the system's ticks: a pid is given again.
    """

    token: str
    host: str
    machine: str
    pid: int
    born: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class _Held:
    generation: int
    owner: Owner
    beat: str


def _this_process() -> Owner:
    return Owner(uuid.uuid4().hex, socket.gethostname(), _machine(), os.getpid(), _born(os.getpid()))


def _machine() -> str:
    with contextlib.suppress(OSError):  # not Linux: the lease alone decides
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + os.readlink("/proc/self/ns/pid")
    return ""


def _born(pid: int) -> str:
    """When a process started; "" where there is none, or only what waits to be buried."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()  # proc(5): 3 state, 22 starttime
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _dead(owner: Owner) -> bool:
    return owner.token in _over or (
        owner.machine != "" and owner.machine == _machine() and _born(owner.pid) != owner.born
    )


def _claims(registry: Registry, cell: str) -> dict[int, _Held]:
    """The claims to a cell by generation; a name that is none of ours is passed over."""
    found = {name.rpartition("-")[2]: tags for name, tags in registry.claims(f"{cell}-").items()}
    ours = {int(number): tags for number, tags in found.items() if number.isdecimal()}
    return {number: _Held(number, _owner(tags), tags.get("beat", "")) for number, tags in ours.items()}


def _owner(tags: Mapping[str, str]) -> Owner:
    """Who a claim's tags name; tags that somebody edited name nobody, and the lease alone decides."""
    try:
        return Owner(**json.loads(tags["owner"]))
    except (KeyError, TypeError, ValueError):
        return Owner("", "a machine that its claim does not name", "", 0, "")


def _newest(registry: Registry, cell: str) -> _Held | None:
    return max(_claims(registry, cell).values(), key=lambda claim: claim.generation, default=None)


def acquire(registry: Registry, cell: str, timing: Timing = TIMING) -> "Claim":
    """The claim to a cell, which the caller releases; looks at a holder until it is seen to be alive or dead.

    Args:
        registry: where claims are made.
        cell: its hash.
        timing: of this claim, and of the looks at another's.

    Raises:
        ClaimTakenError: another worker has it.
        UnavailableError: the server does not answer.
    """
    before = _newest(registry, cell)
    if before is not None and not _abandoned(registry, cell, before, timing):
        raise ClaimTakenError(f"cell {cell} is being trained by {before.owner}")
    claim = Claim(registry, cell, before.generation + 1 if before else 0, timing)
    try:
        claim.make(before.owner.token if before else None)
    except UnavailableError:
        claim.release()  # it may have been made all the same
        raise
    except TakenError:
        seen = "a moment ago" if _newest(registry, cell) else "whose claim this user may not read"
        raise ClaimTakenError(f"cell {cell} was taken by another worker {seen}") from None
    return claim


def bury(registry: Registry) -> None:
    """Gives back what dead processes of this machine held, also of cells that nobody will ask for again."""
    for name, tags in registry.claims("").items():
        if _dead(_owner(tags)):
            with contextlib.suppress(RefusedError):  # another user's
                registry.delete_claim(name)


def _abandoned(registry: Registry, cell: str, held: _Held, timing: Timing) -> bool:
    """Whether a claim stands still for a lease while it is looked at."""
    still, before = 0.0, time.monotonic()
    while not _dead(held.owner) and still < timing.lease:
        time.sleep(timing.poll)
        now = time.monotonic()
        still += min(now - before, 2 * timing.poll)  # a sleep of this machine's is no silence of the other's
        before = now
        if _newest(registry, cell) != held:
            return False
    return True


class Claim:
    """A cell that is this process's until `release`, or until it is silent for a lease.

    Args:
        registry: where it is made.
        cell: its hash.
        generation: one more than that of the abandoned claim to this cell; 0 where there is none.
        timing: of its beats.
    """

    def __init__(self, registry: Registry, cell: str, generation: int, timing: Timing) -> None:
        self._registry, self._cell, self._generation, self._timing = registry, cell, generation, timing
        self._owner = _this_process()
        self._beats = 0
        self._heard = -float("inf")
        self._lost: ClaimLostError | None = None
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"claim {cell}", daemon=True)

    def make(self, predecessor: str | None) -> None:
        """Makes the claim, after the abandoned one with the token `predecessor`; asked again, it is kept once.

        Raises:
            TakenError: somebody else was faster.
        """
        now = time.monotonic()
        name = f"{self._cell}-{self._generation}"
        try:
            self._registry.create_claim(name, {"owner": json.dumps(asdict(self._owner)), "beat": "0"})
        except TakenError:
            if self._tokens().get(self._generation) != self._owner.token:  # else ours: only the answer was lost
                raise
        others = {generation: token for generation, token in self._tokens().items() if generation != self._generation}
        if max(others, default=-1) > self._generation or others.get(self._generation - 1, predecessor) != predecessor:
            self._registry.delete_claim(name)  # what was seen abandoned had ended, and somebody began anew
            raise TakenError(name)
        self._heard = now
        self._thread.start()

    def _tokens(self) -> dict[int, str]:
        return {generation: held.owner.token for generation, held in _claims(self._registry, self._cell).items()}

    def _keep(self) -> None:
        while not self._stop.wait(self._timing.beat):
            with contextlib.suppress(UnavailableError):  # a server that is away gives the cell to nobody else either
                try:
                    self._confirm()
                except ClaimLostError:
                    return

    def _confirm(self) -> None:
        with self._lock:
            if self._stop.is_set():
                return
            now = time.monotonic()
            if self._lost is None:
                tokens = self._tokens()
                if max(tokens, default=-1) != self._generation or tokens[self._generation] != self._owner.token:
                    self._lose()
            if self._lost is not None:
                raise self._lost
            try:
                self._beats += 1
                self._registry.mark_claim(f"{self._cell}-{self._generation}", "beat", str(self._beats))
            except MissingError:
                self._lose()
                raise self._lost from None  # type: ignore[misc]  # just set
            self._heard = now

    def _lose(self) -> None:
        self._lost = ClaimLostError(
            f"cell {self._cell} went to another worker, as this one was not heard of for {self._timing.lease:g} s (it "
            "was stopped, or cut off from the tracking server); it stops here and records nothing more of the cell"
        )

    def check(self) -> None:
        """Returns where no loss is known; asks nobody, and takes no time.

        Raises:
            ClaimLostError: another worker has the cell.
        """
        if self._lost is not None:
            raise self._lost

    def ensure(self) -> None:
        """Returns while the cell is this process's; while the server is away that is assumed.

        Raises:
            ClaimLostError: another worker has it.
        """
        self.check()
        if time.monotonic() - self._heard > self._timing.lease / 2:
            with contextlib.suppress(UnavailableError):
                self._confirm()

    def release(self) -> None:
        """Gives the cell back; where the server is away, the others find out after a lease."""
        _over.add(self._owner.token)
        with self._lock:
            self._stop.set()
            with contextlib.suppress(UnavailableError):
                for generation, token in sorted(self._tokens().items()):
                    if generation < self._generation or token == self._owner.token:
                        with contextlib.suppress(RefusedError):  # another user's, who was dead: theirs to delete
                            self._registry.delete_claim(f"{self._cell}-{generation}")
        if self._thread.is_alive():
            self._thread.join(timeout=self._timing.poll)
