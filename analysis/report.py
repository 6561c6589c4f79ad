"""python -m analysis.report [key=value ...]: every table and figure from what MLflow holds."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from analysis.cells import left_out, select_cells
from analysis.compare import auroc_table, boost_table, pair_cells
from analysis.errors import AnalysisError, SettingsError
from analysis.evaluation import align, resample
from analysis.figures import auroc as auroc_figure
from analysis.figures import style
from analysis.io import load_predictions, load_runs
from analysis.provenance import provenance
from analysis.settings import DEFAULTS, Settings, read_settings
from analysis.store import mask
from analysis.tables import auroc_display, boost_display, count, plain, write_table
from analysis.views import aggregate_views

DEMONSTRATION = "A demonstration, not a reproduction:"


@dataclass(frozen=True)
class Results:
    """Everything that the report shows.

    Attributes:
        cells: the finished cells, in order.
        left_out: the other runs of the experiment.
        missing: cells without a partner.
        auroc: long table.
        boost: long table.
        warning: empty, or why this is a demonstration.
    """

    cells: pd.DataFrame
    left_out: pd.DataFrame
    missing: pd.DataFrame
    auroc: pd.DataFrame
    boost: pd.DataFrame
    warning: str


def main(words: Sequence[str]) -> int:
    """Writes the report; the exit code is 0, 1 where the runs do not allow one, 2 where a setting is wrong."""
    if any(word in ("-h", "--help") for word in words):
        sys.stdout.write(f"{__doc__}\n\n{DEFAULTS.read_text(encoding='utf-8')}")
        return 0
    try:
        settings = read_settings(words)
        results = evaluate(settings)
        index = write(settings, words, results)
    except SettingsError as error:
        sys.stderr.write(f"{mask(str(error))}\n")
        return 2
    except AnalysisError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(summary(results, index))
    return 0


def evaluate(settings: Settings) -> Results:
    """Reads the runs and computes every number.

    Raises:
        AnalysisError: the runs do not allow a report; the message says why and what to do.
    """
    runs = load_runs(settings.tracking.uri, settings.experiment)
    cells = select_cells(runs, settings.filters(), settings.experiment)
    frames = load_predictions(settings.tracking.uri, cells)
    rule = cells.iloc[0]
    units = {}
    for run_id, name in zip(cells["run_id"], cells["name"], strict=True):
        try:
            units[f"{name} ({run_id})"] = aggregate_views(
                frames[run_id], rule["evaluation.level"], rule["evaluation.views"]
            )
        except AnalysisError as error:
            raise AnalysisError(f"run {name} ({run_id}): {error}") from error
    evaluation = align(units, rule["evaluation.tasks"].split(","))
    try:
        replicates = resample(
            evaluation, unit=settings.unit, n_resamples=settings.resamples, rng=np.random.default_rng(settings.seed)
        )
    except ValueError as error:
        raise AnalysisError(f"the predictions of experiment {settings.experiment}: {error}") from error
    return Results(
        cells=cells,
        left_out=left_out(runs),
        missing=pair_cells(cells).missing,
        auroc=auroc_table(cells, replicates, level=settings.level),
        boost=boost_table(cells, replicates, level=settings.level),
        warning=warning(cells),
    )


def warning(cells: pd.DataFrame) -> str:
    """Why the numbers are a demonstration; empty where nothing in them is made up."""
    parts = []
    standins, generated = int(cells["weights_standin"].sum()), int(cells["data_generated"].sum())
    if standins:
        parts.append(f"the pretrained weights of {count(standins, 'cell')} are stand-ins made offline, not ImageNet's")
    if generated:
        parts.append(f"the images of {count(generated, 'cell')} are generated phantoms, not patients")
    return f"{DEMONSTRATION} {'; '.join(parts)}." if parts else ""


def notes(settings: Settings, results: Results) -> list[str]:
    """What a table needs beside it wherever it is taken."""
    mean, n_units = results.auroc.iloc[-1], results.auroc["n_units"].iloc[0]
    rule = results.cells.iloc[0]
    level = f"{100 * settings.level:.4g} %"
    lines = [
        f"AUROC by {rule['evaluation.level']}"
        + (f", {rule['evaluation.views']} over its views. " if rule["evaluation.level"] == "study" else ". ")
        + f"Low and High: {level} {mean['method']} interval of the mean over tasks, {settings.resamples} resamples of "
        f"{count(n_units, settings.unit)}, the same for every cell.",
        "The intervals are about which patients were tested; they hold no variation between training seeds.",
    ]
    short = results.auroc[results.auroc["n_defined"] < results.auroc["n_resamples"]]
    if len(short):
        lines.append(
            f"{len(short)} of the {len(results.auroc)} intervals rest on fewer resamples, as the others lack a class: "
            f"{short['n_defined'].min()} at the least (n_defined in auroc.csv)."
        )
    return [results.warning, *lines] if results.warning else lines


def write(settings: Settings, words: Sequence[str], results: Results) -> Path:
    """Writes the report folder; nothing in it is touched before every file has been made.

    Returns:
        The path of index.html.

    Raises:
        AnalysisError: the folder cannot be written.
    """
    out = Path(settings.out).expanduser().absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as folder:
            made = Path(folder)
            _make(made, settings, words, results)
            files = sorted(
                (path for path in made.rglob("*") if path.is_file()), key=lambda path: path.name == "index.html"
            )
            for path in files:  # index.html last
                target = out / path.relative_to(made)
                target.parent.mkdir(exist_ok=True)
                os.replace(path, target)
    except OSError as error:
        raise AnalysisError(f"out={settings.out} cannot be written: {error.strerror} ({error.filename})") from error
    return out / "index.html"


def summary(results: Results, index: Path) -> str:
    """What the terminal shows at the end."""
    shown = auroc_display(results.auroc)
    lines = [results.warning] if results.warning else []
    lines += [plain(shown[["Architecture", "Pretrained", "Truncated", "Seed", "Mean", "Low", "High"]])]
    if len(results.left_out):
        lines.append(f"{count(len(results.left_out), 'run')} left out: {', '.join(map(str, results.left_out['name']))}")
    return "\n\n".join([*lines, f"{index}\n"])


def _make(folder: Path, settings: Settings, words: Sequence[str], results: Results) -> None:
    (folder / "tables").mkdir()
    (folder / "figures").mkdir()
    about = notes(settings, results)
    displays = {"auroc": auroc_display(results.auroc), "boost": boost_display(results.boost)}
    boost_notes = ["Pretrained minus scratch, in the same resamples; p-values are two-sided and not corrected.", *about]
    write_table(results.auroc, displays["auroc"], folder / "tables", "auroc", about)
    write_table(results.boost, displays["boost"], folder / "tables", "boost", boost_notes)
    points = auroc_figure.table(results.auroc)
    figure = auroc_figure.figure(results.auroc, points, [results.warning] if results.warning else [])
    style.save(figure, points, folder / "figures", "auroc")
    origin = provenance(settings, words, results.cells)
    (folder / "provenance.json").write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
    page = _page(settings, results, displays, about, origin, style.data_uri(figure))
    (folder / "index.html").write_text(page, encoding="utf-8")


def _page(
    settings: Settings,
    results: Results,
    displays: dict[str, pd.DataFrame],
    about: list[str],
    origin: dict[str, Any],
    image: str,
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    states = results.left_out["status"].value_counts()
    return environment.get_template("report.html").render(
        settings=settings,
        rule=results.cells.iloc[0].to_dict(),
        n_cells=len(results.cells),
        states=states.to_dict(),
        left_out=results.left_out.to_dict("records"),
        missing=results.missing.to_dict("records"),
        displays=displays,
        warning=results.warning,
        notes=about[1:] if results.warning else about,
        provenance=origin,
        image=image,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
