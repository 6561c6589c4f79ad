"""python -m analysis.report [key=value ...]: every table, figure and verdict from what MLflow holds."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.errors import AnalysisError, SettingsError
from analysis.figures import style
from analysis.interrupted import run_command
from analysis.page.provenance import provenance
from analysis.page.render import render
from analysis.page.watch import watch
from analysis.questions.verdicts import verdicts_dict
from analysis.results import Results
from analysis.sections import evaluate, sections
from analysis.sections.auroc import auroc_display
from analysis.settings import DEFAULTS, Settings, environment_notes, read_settings
from analysis.store.uris import mask
from analysis.tables import count, plain, write_table


def main(words: Sequence[str]) -> int:
    """Writes the report; the exit code is 0, 1 where the runs do not allow one, 2 where a setting is wrong."""
    if any(word in ("-h", "--help") for word in words):
        sys.stdout.write(f"{__doc__}\n\n{DEFAULTS.read_text(encoding='utf-8')}")
        return 0
    try:
        settings = read_settings(words)
        places = {"tracking.uri": settings.tracking.uri, "experiment": settings.experiment}
        sys.stderr.writelines(f"{mask(note)}\n" for note in environment_notes(places, words))
        check_folder(settings)
        if settings.watch:
            return _watch(settings, words)
        results = evaluate(settings)
        index = write(words, results)
    except SettingsError as error:
        sys.stderr.write(f"{mask(str(error))}\n")
        return 2
    except AnalysisError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(summary(results, index))
    return 0


def check_folder(settings: Settings) -> None:
    """Returns where the report's folder can be made or written to, as far as can be seen before anything is computed.

    Raises:
        AnalysisError: it cannot.
    """
    out = _folder(settings)
    place = next(path for path in (out, *out.parents) if path.exists())
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise AnalysisError(f"out={settings.out} cannot be written: {place} is no folder that can be written to")


def _folder(settings: Settings) -> Path:
    return Path(settings.out).expanduser().absolute()


def write(words: Sequence[str], results: Results, *, reload: int = 0) -> Path:
    """Writes the report folder; nothing in it is touched before every file has been made.

    Args:
        reload: seconds after which a browser reads the page again; 0 never.

    Returns:
        The path of index.html.

    Raises:
        AnalysisError: the folder cannot be written.
    """
    out = _folder(results.settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as folder:
            made = Path(folder)
            _make(made, words, results, reload)
            files = sorted(
                (path for path in made.rglob("*") if path.is_file()), key=lambda path: path.name == "index.html"
            )
            for path in files:  # index.html last
                target = out / path.relative_to(made)
                target.parent.mkdir(exist_ok=True)
                os.replace(path, target)
    except OSError as error:
        raise AnalysisError(
            f"out={results.settings.out} cannot be written: {error.strerror} ({error.filename})"
        ) from error
    return out / "index.html"


def summary(results: Results, index: Path) -> str:
    """What the terminal shows at the end."""
    shown = auroc_display(results.tables["auroc"])
    lines = [results.warning] if results.warning else []
    lines += [plain(shown.loc[:, :"High"])]
    if len(results.left_out):
        lines.append(f"{count(len(results.left_out), 'run')} left out: {', '.join(map(str, results.left_out['name']))}")
    return "\n\n".join([*lines, f"{index}\n"])


def _watch(settings: Settings, words: Sequence[str]) -> int:
    """Refreshes the report until no run goes on; 130 after Ctrl-C, as shells expect."""
    partly = replace(settings, allow_missing=True)

    def refresh(partial: str) -> Path:
        results = evaluate(partly)
        if not partial:
            return write(words, results)
        marked = replace(results, incomplete=[partial, *results.incomplete])
        return write(words, marked, reload=partly.watch_seconds)

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    try:
        return watch(partly, refresh, say)
    except KeyboardInterrupt:
        say("stopped; the report stays as it was last written")
        return 130


def _make(folder: Path, words: Sequence[str], results: Results, reload: int) -> None:
    (folder / "tables").mkdir()
    (folder / "figures").mkdir()
    made = sections(results)
    for section in made:
        for table in section.tables:
            write_table(table.raw, table.display, folder / "tables", table.name, table.notes, table.strong)
        for picture in section.pictures:
            style.save(picture.figure, picture.points, folder / "figures", picture.name)
    verdicts = verdicts_dict(results.tables["verdicts"], results.barriers)
    _json(folder / "verdicts.json", verdicts)
    origin = provenance(results.settings, words, results.every.cells, unit=results.unit, cautions=results.cautions)
    _json(folder / "provenance.json", origin)
    page = render(results, made, origin, reload=reload)
    (folder / "index.html").write_text(page, encoding="utf-8")


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
