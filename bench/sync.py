"""`python -m bench.sync [tracking.uri=...] [outputs=DIR]`: brings in what was recorded without a tracking server."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from analysis.interrupted import run_command
from bench.command import command
from bench.paths import in_project
from bench.schema import SyncConfig

if TYPE_CHECKING:
    from bench.tracking.server import Server
    from bench.tracking.spool import Spool

console = Console()


@dataclass(frozen=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        name: of its cell's run.
        said: in words.
        settled: whether nothing is left to do for it.
    """

    name: str
    said: str
    settled: bool


def sync(uri: str, outputs: Path) -> Iterator[Outcome]:
    """What becomes of every attempt below `outputs` that the server does not have whole; one after another.

    However often it is called, and in how many processes, each is brought in once: whoever holds its lock brings it,
    and goes on where the last one stopped.

    Raises:
        TrackingError: the server cannot be used.
    """
    from bench.tracking.server import RefusedError, Server
    from bench.tracking.spool import spools

    servers: dict[str, Server] = {}
    for spool in spools(outputs):
        with suppress(FileNotFoundError):  # whoever holds it removed it meanwhile
            if spool.uploaded:
                continue
            name, experiment = spool.run().name, spool.experiment
            if experiment not in servers:
                try:
                    servers[experiment] = Server(uri, experiment)
                except RefusedError as error:  # of this experiment; others may be recorded in
                    yield Outcome(name, f"not brought in: {error}", settled=False)
                    continue
            said, settled = _bring_in(servers[experiment], spool)
            if said:
                yield Outcome(name, said, settled)


def _bring_in(server: "Server", spool: "Spool") -> tuple[str, bool]:
    from bench.tracking.spool import ClaimTakenError, locked

    try:
        with locked(spool.folder.parents[1], server.experiment) as place:
            return _uploaded(server, spool, place)
    except ClaimTakenError:
        return "is being trained or uploaded by another process", True


def _uploaded(server: "Server", spool: "Spool", place: str) -> tuple[str, bool]:
    from bench.tracking.claim import Claim, ClaimLostError, SupersededError
    from bench.tracking.server import UnavailableError
    from bench.tracking.spool import ClaimTakenError
    from bench.tracking.upload import bring_in

    if not spool.exists or spool.uploaded:
        return "", True  # by another process, meanwhile
    try:
        return f"brought in, as run {bring_in(spool, Claim(server, spool, place))}", True
    except SupersededError as error:
        return str(error), True
    except (ClaimTakenError, ClaimLostError, UnavailableError) as error:
        return f"not brought in: {error}", False


def work(jobs: Sequence[SyncConfig]) -> int:
    """Says what became of each attempt of every job; 1 where something is left to bring in."""
    outcomes: list[Outcome] = []
    for settings in jobs:
        for outcome in sync(settings.tracking.uri, in_project(settings.outputs)):
            console.print(f"{escape(outcome.name)}: {escape(outcome.said)}", soft_wrap=True, highlight=False)
            outcomes.append(outcome)
    if not outcomes:
        console.print("nothing to bring in")
    return 0 if all(outcome.settled for outcome in outcomes) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Says what became of each attempt; 2 where the command line is wrong, 1 where something is left to bring in."""
    return command("sync", work, arguments)


if __name__ == "__main__":
    run_command(main)
