"""ROC and calibration curves, a panel a task, and learning curves: colours and markers say the family."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis import reference
from analysis.figures.canvas import canvas, legend, plot, settle
from analysis.figures.style import TWO, Format, family_handles, mark
from analysis.questions.curves import LOSS, VALID
from analysis.tables import count, heading

BROKEN = (0, (3, 1.5))
FEW_TASKS = 6
"""Up to which the panels are large."""
LEARNING = {VALID: "Validation AUROC, mean", LOSS: "Training loss"}


def line_style(pretrained: object) -> Any:
    """Solid for pretrained networks, broken for those from scratch."""
    return "-" if pretrained else BROKEN


def draw_roc(table: pd.DataFrame, ax: Axes) -> None:
    """Draws one task: each network's curve in its band.

    Args:
        table: rows of one task, of what `roc.roc_table` gives.
    """
    ax.plot([0, 1], [0, 1], color="0.75", linewidth=0.7)
    for (_, family, pretrained), curve in table.groupby(["cell", "family", "pretrained"], sort=False):
        colour, style = mark(family)[0], line_style(pretrained)
        ax.fill_between(curve["fpr"], curve["low"], curve["high"], color=colour, alpha=0.2, linewidth=0)
        plot(ax, curve, "fpr", "estimate", color=colour, linewidth=1.1, linestyle=style)
    first = table.iloc[0]
    _square(ax, f"{heading(str(first['task']))}\n{first['n_positive']} of {first['n']} positive")


def draw_calibration(table: pd.DataFrame, ax: Axes) -> None:
    """Draws one task: observed frequency against mean score, a marker a bin.

    Args:
        table: rows of one task, of what `calibration.curves_table` gives.
    """
    ax.plot([0, 1], [0, 1], color="0.75", linewidth=0.7)
    for (_, family, pretrained), curve in table.groupby(["cell", "family", "pretrained"], sort=False):
        colour, marker = mark(family)
        ax.vlines(curve["score"], curve["low"], curve["high"], color=colour, linewidth=0.8, alpha=0.6)
        plot(
            ax, curve, "score", "estimate", color=colour, linewidth=0.9, linestyle=line_style(pretrained),
            marker=marker, markersize=3.2, markerfacecolor=colour if pretrained else "white",
        )  # fmt: skip
    sizes = table["n"].astype(int)
    _square(ax, f"{heading(str(table['task'].iloc[0]))}\n{sizes.min()} to {sizes.max()} in a bin")


def roc_figure(points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """ROC curves with their bands, a panel a task.

    Args:
        points: what `roc.roc_table` gives, not empty.
        notes: sentences above the panels; whose curves these are must be among them.
    """
    first = points.iloc[0]
    about = (
        f"Bands: pointwise {100 * first['level']:.4g} % {first['method']} interval of the true-positive rate, n = "
        f"{count(int(first['n_units']), str(first['unit']))}, {first['n_resamples']} resamples."
    )
    return _by_task(points, draw_roc, ("False-positive rate", "True-positive rate"), [*notes, about], form)


def calibration_figure(points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """Calibration curves with the interval of each bin, a panel a task.

    Args:
        points: what `calibration.curves_table` gives, not empty.
        notes: sentences above the panels; whose curves these are must be among them.
    """
    about = (
        f"Bins of equal counts; bars: {100 * points['level'].iloc[0]:.4g} % {points['method'].iloc[0]} interval of the "
        "frequency in a bin, its rows taken as independent."
    )
    return _by_task(points, draw_calibration, ("Mean score", "Observed frequency"), [*notes, about], form)


def learning_figure(points: pd.DataFrame, notes: Sequence[str] = (), form: Format = TWO) -> Figure:
    """Validation AUROC and training loss against images seen, pretrained and from scratch beside each other.

    Args:
        points: what `curves.learning_table` gives, not empty.
        notes: sentences above the panels; whose lines these are must be among them.
    """
    metrics = [metric for metric in LEARNING if (points["metric"] == metric).any()]
    arms = [arm for arm in (True, False) if (points["pretrained"] == arm).any()]
    about = "No interval: a line is one training. Validation AUROC is of the network at that time, on its own split."
    with rc_context(form.rc):
        made, axes = canvas(
            form, 52 * len(metrics) + 10, [*notes, about], rows=len(metrics), columns=len(arms), sharex="col",
            sharey="row",
        )  # fmt: skip
        for i, ax in enumerate(axes):
            metric, arm = metrics[i // len(arms)], arms[i % len(arms)]
            _draw_learning(points[(points["metric"] == metric) & (points["pretrained"] == arm)], ax)
            if i < len(arms):
                ax.set_title("pretrained" if arm else "from scratch", loc="left")
            if i % len(arms) == 0:
                ax.set_ylabel(LEARNING[metric])
            if i >= len(axes) - len(arms):
                ax.set_xlabel("Images seen (thousands)")
        legend(made, family_handles(points["family"], linestyle="-", linewidth=1), form)
        settle(made)
        return made


def _draw_learning(table: pd.DataFrame, ax: Axes) -> None:
    for (_, family), line in table.groupby(["cell", "family"], sort=False):
        colour, marker = mark(family)
        few = len(line) < 16
        plot(
            ax, line, "images", "value", per=1000, color=colour, linewidth=0.8, alpha=0.85,
            marker=marker if few else None, markersize=2.5,
        )  # fmt: skip
    ax.grid(color="0.94", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def _by_task(
    points: pd.DataFrame,
    draw: Callable[[pd.DataFrame, Axes], None],
    names: tuple[str, str],
    notes: Sequence[str],
    form: Format,
) -> Figure:
    tasks = list(dict.fromkeys(points["task"]))
    columns = min(len(tasks), (2 if form.narrow else 3) + (len(tasks) > FEW_TASKS))
    rows = -(-len(tasks) // columns)
    with rc_context(form.rc):
        made, axes = canvas(
            form,
            (form.mm / max(columns, 2) + 9) * rows + 14,
            notes,
            rows=rows,
            columns=columns,
            sharex=True,
            sharey=True,
        )
        for ax, task in zip(axes, tasks, strict=False):
            draw(points[points["task"] == task], ax)
        for ax in axes[len(tasks) :]:
            ax.set_axis_off()
        for below in range(max(0, len(tasks) - columns), len(tasks)):
            axes[below].tick_params(labelbottom=True)
            axes[below].set_xlabel(names[0])
        for left in axes[: len(tasks) : columns]:
            left.set_ylabel(names[1])
        legend(made, _networks(points), form)
        settle(made)
        return made


def _networks(points: pd.DataFrame) -> list[Line2D]:
    """Entries of a legend, one a network."""
    return [
        Line2D(
            [], [], color=mark(row["family"])[0], linestyle=line_style(row["pretrained"]), linewidth=1.1,
            label=reference.label(str(row["arch"])) + (", pretrained" if row["pretrained"] else ", from scratch"),
        )
        for row in points.drop_duplicates("cell").to_dict("records")
    ]  # fmt: skip


def _square(ax: Axes, title: str) -> None:
    ax.set_aspect("equal")
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_title(title, loc="left", parse_math=False)
