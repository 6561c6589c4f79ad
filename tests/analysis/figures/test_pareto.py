import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from analysis.figures import pareto as figures
from analysis.figures import style
from analysis.questions.pareto import pareto_table
from tests.analysis.synthetic import make_cells


def make(n, rng, **kwargs):
    cells, replicates = make_cells(n, rng=rng, **kwargs)
    return pareto_table(cells, replicates, level=0.95)


def test_points_are_in_the_unit_of_the_axis_and_named(rng):
    table = make(2, rng, depths=(0, 1))
    points = figures.table(table)
    assert len(points) == len(table)
    sizes = points[points["cost"] == "parameters"]
    assert sizes["shown"].tolist() == pytest.approx((sizes["x"] / 1e6).tolist())
    assert set(points["name"]) == {"DenseNet121", "DenseNet121 -1", "DenseNet169", "DenseNet169 -1"}


def test_what_is_drawn_is_the_table(rng):
    table = make(8, rng, depths=(0, 1))
    points = figures.table(table)
    figure = figures.figure(table, points)
    assert [ax.get_xlabel().splitlines()[0] for ax in figure.axes] == [
        "Parameters (millions)",
        "Multiply-accumulates an image (millions)",
    ]
    ax, rows = figure.axes[0], points[points["cost"] == "parameters"]
    best = rows[rows["on_front"]]
    dots = np.concatenate([line.get_xydata() for line in ax.lines if line.get_linestyle() == "None"])
    np.testing.assert_allclose(np.sort(dots, axis=0), np.sort(rows[["shown", "estimate"]].to_numpy(float), axis=0))
    (line,) = [line for line in ax.lines if line.get_drawstyle() == "steps-post"]
    np.testing.assert_array_equal(line.get_xydata(), best[["shown", "estimate"]])
    assert (np.diff(line.get_ydata()) > 0).all()
    expected = [f"{name} ({100 * share:.0f} %)" for name, share in zip(best["name"], best["share"], strict=True)]
    assert sorted(text.get_text() for text in ax.texts) == sorted(expected)


@pytest.mark.parametrize(
    ("n", "depths", "width"), [(1, (0,), "two"), (2, (0,), "one"), (16, (0, 1), "two"), (16, (0, 1, 2, 3, 4), "two")]
)
def test_nothing_is_cut_off_and_no_words_overlap(n, depths, width, rng, tmp_path):
    table = make(n, rng, depths=depths)
    points = figures.table(table)
    form = style.Format(width)
    figure = figures.figure(table, points, ["A warning that is long enough to need a second line. " * 4], form)
    style.save(figure, points, tmp_path, "pareto")
    figure.draw_without_rendering()  # places are those of the last drawing, which was in another resolution
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "pareto.csv"), points, check_dtype=False)
    renderer, page = FigureCanvasAgg(figure).get_renderer(), figure.bbox
    words = [text.get_window_extent(renderer) for text in figure.texts]
    words += [ax.xaxis.label.get_window_extent(renderer) for ax in figure.axes]
    words += [figure.legends[0].get_window_extent(renderer)]
    words += [Text.get_window_extent(text, renderer) for ax in figure.axes for text in ax.texts]
    for i, box in enumerate(words):
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in words[:i])


def test_without_any_cost_a_figure_says_so(rng, tmp_path):
    cells, replicates = make_cells(2, rng=rng)
    table = pareto_table(cells.drop(columns=["parameters", "macs", "latency_ms"]), replicates, level=0.95)
    points = figures.table(table)
    figure = figures.figure(table, points)
    style.save(figure, points, tmp_path, "pareto")
    figure.draw_without_rendering()  # places are those of the last drawing, which was in another resolution
    assert [text.get_text() for text in figure.axes[0].texts] == ["no network has this cost"]


def test_the_same_points_give_the_same_picture(rng):
    table = make(3, rng).assign(arch="$\\frac{")
    once, again = (style.data_uri(figures.figure(table, figures.table(table), ["$x"])) for _ in range(2))
    assert once == again
