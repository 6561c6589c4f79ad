"""python -m analysis.export results=DIR [key=value ...]: an experiment's finished cells as files, to pass on.

`python -m analysis.report results=DIR` makes the same report from them, without torch, MLflow's store or the images.
"""

import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from analysis.errors import AnalysisError, SettingsError
from analysis.interrupted import run_command
from analysis.page.provenance import origin
from analysis.places import CONF
from analysis.questions.curves import LOSS, VALID
from analysis.settings import DEFAULTS, ExportSettings, read
from analysis.store import folders
from analysis.store.cells import select_cells
from analysis.store.io import FINISHED
from analysis.store.uris import mask
from analysis.tables import count

KEYS = CONF / "results.yaml"
README = """# {n} of the experiment {experiment}

Test predictions of trained networks, and what they are of; no images. Paths, patients and studies are {ids}.
Licence: {licence}

With chextransfer-bench (its version is in results.json):

    python -m analysis.report results={folder}

`runs.json` has a row a run, `cells/<run id>/predictions/*.parquet` a row an image: path, patient, study, view,
`label/<task>` (0, 1 or blank) and `score/<task>` (a probability).
"""


def main(words: Sequence[str]) -> int:
    """Writes the folder; the exit code is 0, 1 where the runs do not allow it, 2 where a setting is wrong."""
    if any(word in ("-h", "--help") for word in words):
        sys.stdout.write(f"{__doc__}\n\n{KEYS.read_text(encoding='utf-8')}\n{DEFAULTS.read_text(encoding='utf-8')}")
        return 0
    try:
        settings = read(words, ExportSettings, DEFAULTS, KEYS)
        written = export(settings, words)
    except SettingsError as error:
        sys.stderr.write(f"{mask(str(error))}\n")
        return 2
    except AnalysisError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{written}\n")
    return 0


def export(settings: ExportSettings, words: Sequence[str]) -> str:
    """Writes the folder, whole or not at all; an earlier export there is replaced.

    Args:
        settings: which cells, and where to.
        words: what was typed after the command.

    Returns:
        What was written, in a sentence.

    Raises:
        SettingsError: no `results`, or a folder there that is no export.
        AnalysisError: the runs cannot be read, or the folder cannot be written.
    """
    if not settings.results:
        raise SettingsError("results=DIR is missing: the folder to write")
    target = Path(settings.results).expanduser().absolute()
    if target.exists() and not (target / folders.ABOUT).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise SettingsError(f"results={settings.results} is there and no folder of `analysis.export`: name another")
    store = folders.Runs(settings.tracking.uri, settings.experiment)
    runs = store.table()
    cells = select_cells(runs, settings.filters(), settings.experiment)
    runs = runs[
        runs["run_id"].isin(cells["run_id"]) | (runs["status"] != FINISHED)
    ]  # unfinished ones say what is missing
    histories = store.histories([str(run) for run in cells["run_id"]], [VALID, LOSS])
    hashed = settings.ids == "hashed"
    salt = (settings.salt.encode() if settings.salt else secrets.token_bytes(32)) if hashed else None
    private = ("salt=", "results=", "tracking.uri=")  # a secret, and places of this machine
    typed = [word for word in words if not word.startswith(private)]
    command = mask(shlex.join(["python", "-m", "analysis.export", *typed]))
    said = folders.about(settings.experiment, settings.licence, hashed=hashed, origin=origin(command))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".results-", dir=target.parent) as made:
            place = Path(made) / "new"
            place.mkdir()
            folders.write(place, settings.tracking.uri, runs, cells, histories, salt=salt)
            (place / "README.md").write_text(
                README.format(
                    n=count(len(cells), "finished cell"),
                    experiment=settings.experiment,
                    licence=settings.licence,
                    ids="hashed with a salt that is not stored" if hashed else "as in the data set",
                    folder=target.name,
                ),
                encoding="utf-8",
            )
            (place / folders.ABOUT).write_text(said, encoding="utf-8")
            if target.exists():
                target.rename(Path(made) / "old")
            shutil.move(place, target)
    except OSError as error:
        raise AnalysisError(
            f"results={settings.results} cannot be written: {error.strerror} ({error.filename})"
        ) from error
    return f"{count(len(cells), 'cell')} in {target}, paths, patients and studies {settings.ids}"


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
