"""The paper's summary figure: top-1, families, pretraining and truncation, a panel each."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import reference
from analysis.figures import arms, correlation, family, truncation
from analysis.figures.canvas import canvas, legend, nothing, settle
from analysis.figures.labels import place
from analysis.figures.style import TWO, Format, family_handles, mark

TOP1, FAMILIES, ARMS, CUT = "top1", "families", "arms", "truncation"
ABSENT = {
    TOP1: "No pretrained network has a published ImageNet top-1.",
    FAMILIES: "No network from scratch has a known number of parameters.",
    ARMS: "No architecture has both a pretrained and a scratch network.",
    CUT: "No truncated pretrained network stands beside its full one.",
}
"""Why a panel is empty."""
TITLES = {FAMILIES: "from scratch, families", ARMS: "with and without pretraining", CUT: "truncated, pretrained"}
HEIGHT, LOW = 68.0, 58.0
"""Of a row of panels, across two columns and across one, mm."""
NAMED = 20
"""Points up to which a panel names them."""


def table(points: pd.DataFrame, networks: pd.DataFrame, cut: pd.DataFrame) -> pd.DataFrame:
    """What is drawn, a column `panel` before the columns of each panel's own figure.

    Args:
        points: what `scatter.points_table` gives.
        networks: what `auroc_table` gives, of groups of seeds.
        cut: what `truncation_table` gives.
    """
    top1 = points[(points["x"] == "imagenet_top1") & (points["y"] == "auroc") & (points["subset"] == "pretrained")]
    lines = family.table(points)
    depths = truncation.table(cut)
    parts = {
        TOP1: correlation.table(top1),
        FAMILIES: lines[lines["subset"] == "scratch"],
        ARMS: arms.table(networks),
        CUT: depths[depths["pretrained"].astype(bool)],
    }
    there = [part.assign(panel=name) for name, part in parts.items() if len(part)]
    if not there:
        return pd.DataFrame(columns=["panel"])
    drawn = pd.concat(there, ignore_index=True)
    return drawn[["panel", *drawn.columns.drop("panel")]]


def figure(
    drawn: pd.DataFrame,
    correlations: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    form: Format = TWO,
    absent: Mapping[str, str] = ABSENT,
) -> Figure:
    """The four panels; one that cannot be drawn says why.

    Args:
        drawn: what `table` gives.
        absent: reasons, by panel.
    """
    rows, columns = (4, 1) if form.narrow else (2, 2)
    with rc_context(form.rc):
        height = (LOW if form.narrow else HEIGHT) * rows + 10
        made, axes = canvas(form, height, [*notes, *_about(drawn)], rows=rows, columns=columns)
        panels = dict(zip((TOP1, FAMILIES, ARMS, CUT), axes, strict=True))
        for letter, (name, ax) in zip("abcd", panels.items(), strict=True):
            some = drawn[drawn["panel"] == name]
            title = correlation.title(some, correlations) if name == TOP1 and len(some) else TITLES.get(name, "")
            ax.set_title(f"{letter}   {title}".rstrip(), loc="left", parse_math=False)
            if some.empty:
                nothing(ax, absent[name])
            else:
                _draw(name, some, ax)
        legend(made, family_handles(drawn["family"].dropna().replace("", None).dropna()), form)
        settle(made)
        for name in (TOP1, ARMS):
            _names(name, drawn[drawn["panel"] == name], panels[name])
        return made


def _draw(name: str, some: pd.DataFrame, ax: Axes) -> None:
    if name == TOP1:
        correlation.draw(some, ax)
    elif name == FAMILIES:
        family.draw(some, ax)
    elif name == ARMS:
        arms.draw(some, ax)
    else:
        truncation.draw(some, ax, faint=True)
        ax.set_xlabel("Parameters kept (% of the full network)")
        ax.set_ylabel("AUROC less that of the full network")


def _names(name: str, some: pd.DataFrame, ax: Axes) -> None:
    points = some[some["kind"] == correlation.POINT] if name == TOP1 and len(some) else some
    if not 0 < len(points) <= NAMED:
        return
    x = points["x_value"] * 100 if name == TOP1 else points["scratch"]
    names = [reference.label(str(arch)) for arch in points["arch"]]
    place(ax, x, points["estimate"], names, colours=[mark(one)[0] for one in points["family"]])


def _about(drawn: pd.DataFrame) -> list[str]:
    """What lines, bands and fillings are, panel by panel."""
    there, said = set(drawn["panel"]), []
    if TOP1 in there and (fit := correlation.fit_note(drawn[drawn["panel"] == TOP1])):
        said.append(f"a: {fit[0].lower()}{fit[1:]}")
    if ARMS in there:
        said.append("c: on the broken line pretraining makes no difference.")
    if CUT in there:
        margin = drawn.loc[drawn["panel"] == CUT, "margin"].iloc[0]
        said.append(f"d: a line a network; dotted: margin {margin:g}; filled: non-inferior by it.")
    return [" ".join(said)] if said else []
