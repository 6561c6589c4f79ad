import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

from analysis import reference
from analysis.figures import boost, style
from analysis.questions.boosts import corrected, pooled_table
from analysis.questions.compare import boost_table
from tests.analysis.synthetic import make_cells

WARNING = "A warning that is long enough to need more than a single line. " * 3


def make(n, rng, **kwargs):
    cells, replicates = make_cells(n, rng=rng, **kwargs)
    boosts = corrected(boost_table(cells, replicates, level=0.95))
    return cells, boosts, pooled_table(cells, replicates, level=0.95)


def test_points_are_the_boosts_of_the_mean_and_their_mean(rng):
    _, boosts, pooled = make(5, rng)
    points = boost.table(boosts, pooled)
    means = boosts[boosts["task"] == "mean"]
    assert points["arch"].tolist() == [*means["arch"], "mean of all"]
    said = boost.figure(boosts, points).get_suptitle()
    assert "Bars: 95 % percentile bootstrap interval, paired, n = 100 studies, 200 resamples." in said
    assert "Filled: p < 0.05 after Holm's correction over 5 architectures" in said
    assert points["row"].tolist() == [0, 1, 2, 3.5, 4.5, 6.5]
    assert points["estimate"].iloc[:5].tolist() == means["estimate"].tolist()
    assert points["significant"].iloc[:5].tolist() == (means["p_holm"] < 0.05).tolist()
    assert points["estimate"].iloc[5] == pytest.approx(means["estimate"].mean())
    assert len(boost.table(boosts)) == 5


def test_what_is_drawn_is_the_table(rng):
    _, boosts, pooled = make(5, rng, noise=0.02)
    points = boost.table(boosts, pooled)
    points["significant"] = [True, False, True, False, True, True]
    ax = boost.figure(boosts, points).axes[0]
    for filled in (True, False):
        lines = [line for line in ax.lines if line.get_marker() not in ("None", "*")]
        lines = [line for line in lines if (to_hex(line.get_markerfacecolor()) != "#ffffff") == filled]
        dots = np.concatenate([line.get_xydata() for line in lines])
        rows = points[(points["kind"] == "architecture") & (points["significant"].astype(bool) == filled)]
        np.testing.assert_array_equal(dots[np.argsort(dots[:, 1])], rows[["estimate", "row"]])
        for line in lines:
            family = points.loc[points["row"] == line.get_ydata()[0], "family"].iloc[0]
            assert (to_hex(line.get_color()), line.get_marker()) == tuple(map(str.lower, style.mark(family)))
    bars = np.concatenate([np.array(lines.get_segments()) for lines in ax.collections])
    np.testing.assert_array_equal(bars[np.argsort(bars[:, 0, 1]), :, 0], points[["low", "high"]])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


@pytest.mark.parametrize("n", [0, 2, 16])
def test_nothing_is_cut_off_and_no_names_overlap(n, rng, tmp_path):
    cells, boosts, pooled = make(n or 2, rng, arms=(True, False) if n else (True,))
    points = boost.table(boosts, pooled)
    figure = boost.figure(boosts, points, [WARNING])
    style.save(figure, points, tmp_path, "boost")
    figure.draw_without_rendering()  # places are those of the last drawing, which was in another resolution
    renderer = FigureCanvasAgg(figure).get_renderer()
    ax, page = figure.axes[0], figure.bbox
    names = [label.get_window_extent(renderer) for label in ax.get_yticklabels()]
    above = [text.get_window_extent(renderer) for text in (*ax.texts, *figure.texts, ax.xaxis.label) if text.get_text()]
    legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    assert len(legends) == (n > 0)
    for box in (*names, *above, *legends):
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
    assert not any(a.overlaps(b) for i, a in enumerate(names) for b in names[:i])
    assert not any(legend.overlaps(box) for legend in legends for box in above)
    sizes = boost.size_table(boosts, cells)
    style.save(boost.size_figure(boosts, sizes, [WARNING]), sizes, tmp_path, "size")
    assert len(pd.read_csv(tmp_path / "size.csv")) == n


def test_boost_against_size_names_every_architecture_without_overlap(rng):
    cells, boosts, _ = make(16, rng)
    cells.loc[cells["arch"] == "resnet18", "parameters"] = np.nan
    points = boost.size_table(boosts, cells)
    assert len(points) == 15
    assert points.loc[0, "parameters"] == 6.968e6
    figure = boost.size_figure(boosts, points)
    figure.draw_without_rendering()  # moves the names to their places
    ax, renderer = figure.axes[0], FigureCanvasAgg(figure).get_renderer()
    drawn = np.concatenate([line.get_xydata() for line in ax.lines[1:]])
    expected = np.column_stack([points["parameters"] / 1e6, points["estimate"]])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))
    assert sorted(text.get_text() for text in ax.texts) == sorted(map(reference.label, points["arch"]))
    boxes = [Text.get_window_extent(text, renderer) for text in ax.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_names_are_not_read_as_formulas_and_the_style_stays_in_the_figure(rng, tmp_path):
    cells, boosts, pooled = make(2, rng)
    boosts["arch"], boosts["family"] = "$\\frac{", "<b>$"
    before = dict(mpl.rcParams)
    for name, points, make_figure in (
        ("boost", boost.table(boosts, pooled), boost.figure),
        ("size", boost.size_table(boosts, cells), boost.size_figure),
    ):
        style.save(make_figure(boosts, points, ["$x"]), points, tmp_path, name)
        once, again = (style.data_uri(make_figure(boosts, points)) for _ in range(2))
        assert once == again
    assert dict(mpl.rcParams) == before
