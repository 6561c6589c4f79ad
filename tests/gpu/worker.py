"""The process that runs parts of `make gpu` one after the other.

`tests.gpu` starts it with a file that says what to do, and anew without the part that ended it.
"""

import json
import sys
import time
import traceback
from pathlib import Path

import torch

from bench.quiet import quiet
from tests.gpu.parts import FIGURES, PROOFS, Kit, Part, Task


def known() -> dict[str, Part]:
    """Every part by its name, proofs first."""
    from tests.gpu import proofs, timings  # noqa: F401  # they fill the lists

    return {part.name: part for part in (*PROOFS, *FIGURES)}


def run(part: Part, kit: Kit) -> None:
    """Runs one part, and notes how it ended."""
    if part.needs_gpu and not kit.gpu:
        kit.note(part=part.name, state="needs a GPU")
        return
    if kit.left() < part.seconds:
        kit.note(part=part.name, state="left out", why=f"it takes {part.seconds:.0f} s")
        return
    kit.note(begin=part.name, seconds=part.seconds)
    start = time.perf_counter()
    try:
        part.run(kit)
    except Exception as error:  # noqa: BLE001  # one part's failure is no other's
        said = f"{type(error).__name__}: {error}"
        (kit.out / f"failed-{part.name.replace(' ', '-')}.txt").write_text(traceback.format_exc(), encoding="utf-8")
        kit.note(part=part.name, state="failed", why=said[:500], took=time.perf_counter() - start)
        if kit.gpu:
            torch.cuda.synchronize()  # raises where the error stays: then the process ends, and another goes on
    else:
        kit.note(part=part.name, state="ok", took=time.perf_counter() - start)


def main() -> None:
    """The process."""
    task = Task(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    quiet()
    kit, parts = Kit(task), known()
    for name in task.parts:
        run(parts[name], kit)


if __name__ == "__main__":
    main()
