import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from analysis.figures import style
from analysis.figures import truncation as figures
from analysis.questions.truncation import truncation_table
from tests.analysis.synthetic import make_cells


def make(n, rng, **kwargs):
    settings = {"arms": (True,), "depths": (0, 1, 2, 3)} | kwargs
    cells, replicates = make_cells(n, rng=rng, **settings)
    return truncation_table(cells, replicates, level=0.95, margin=0.02)


def test_points_are_the_truncated_networks_and_the_full_one(rng):
    table = make(5, rng)
    points = figures.table(table)
    assert len(points) == 5 * 4
    full = points[points["truncate"] == 0]
    assert full[["kept", "at"]].to_numpy().tolist() == [[100, 100]] * 5
    assert (full["difference"] == 0).all()
    cut = points[points["truncate"] > 0].reset_index(drop=True)
    rows = table[table["task"] == "mean"].reset_index(drop=True)
    for column in ("arch", "difference", "low", "high", "noninferior"):
        assert cut[column].tolist() == rows[column].tolist()
    assert cut["kept"].tolist() == pytest.approx((100 / rows["factor"].astype(float)).tolist())
    assert (np.abs(cut["at"] / cut["kept"] - 1) < 0.12).all()


def test_what_is_drawn_is_the_table(rng):
    table = make(3, rng)
    points = figures.table(table)
    points.loc[points["truncate"] > 0, "noninferior"] = [True, False, False] * 3
    ax = figures.figure(table, points).axes[0]
    markers = [line for line in ax.lines if line.get_linestyle() == "None"]
    for filled in (True, False):
        drawn = [line.get_xydata() for line in markers if (to_hex(line.get_markerfacecolor()) != "#ffffff") == filled]
        rows = points[(points["truncate"] > 0) & (points["noninferior"].astype(bool) == filled)]
        np.testing.assert_array_equal(np.concatenate(drawn), rows[["at", "difference"]])
    bars = np.concatenate([np.array(lines.get_segments()) for lines in ax.collections])
    np.testing.assert_array_equal(bars[:, :, 1], points.loc[points["truncate"] > 0, ["low", "high"]])
    dotted = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert [line.get_ydata()[0] for line in dotted] == [-0.02]


@pytest.mark.parametrize(("n", "panels"), [(1, 1), (5, 2), (16, 6)])
def test_a_panel_for_each_family_and_nothing_cut_off(n, panels, rng, tmp_path):
    table = make(n, rng)
    points = figures.table(table)
    figure = figures.figure(table, points, ["A warning that is long enough to need a second line. " * 4])
    style.save(figure, points, tmp_path, "truncation")
    figure.draw_without_rendering()  # places are those of the last drawing, which was in another resolution
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left") for ax in shown] == points["family"].unique().tolist()
    assert len(shown) == panels
    renderer, page = FigureCanvasAgg(figure).get_renderer(), figure.bbox
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    boxes += [ax.get_tightbbox(renderer) for ax in shown]
    for box in boxes:
        assert page.x0 <= box.x0
        assert box.x1 <= page.x1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "truncation.csv"), points, check_dtype=False)


def test_nothing_truncated_or_sizes_unknown_does_not_fail(rng, tmp_path):
    for table in (make(2, rng, depths=(0,)), make(2, rng).assign(factor=np.nan)):
        points = figures.table(table)
        assert points.empty
        style.save(figures.figure(table, points), points, tmp_path, "truncation")


def test_the_same_points_give_the_same_picture(rng):
    table = make(2, rng, arms=(True, False)).assign(family="$\\frac{")
    once, again = (style.data_uri(figures.figure(table, figures.table(table), ["$x"])) for _ in range(2))
    assert once == again
