import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Annotation, Text

from analysis import reference
from analysis.figures import correlation as correlation_figure
from analysis.figures import style
from analysis.paper import published_clouds
from analysis.questions.scatter import POINT_COLUMNS, points_table


@pytest.fixture
def points():
    return points_table(published_clouds(reference.figure1()), level=0.95)


@pytest.fixture
def drawn(points):
    return correlation_figure.table(points)


def panel_of(table, x, subset):
    return table[(table["x"] == x) & (table["subset"] == subset)]


def test_every_point_is_in_the_table_once(points, drawn):
    kept = drawn[drawn["kind"] == "point"][["x", "y", "subset", "arch", "x_value", "estimate"]]
    expected = points[["x", "y", "subset", "arch", "x_value", "estimate"]]
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), expected.reset_index(drop=True))


@pytest.mark.parametrize("x", ["imagenet_top1", "parameters"])
def test_line_and_band_are_statsmodels(x, drawn):
    panel = panel_of(drawn, x, "pretrained")
    dots, line = panel[panel["kind"] == "point"], panel[panel["kind"] == "line"]
    transform = np.log10 if x == "parameters" else np.asarray
    fit = sm.OLS(dots["estimate"].to_numpy(), sm.add_constant(transform(dots["x_value"]))).fit()
    theirs = fit.get_prediction(sm.add_constant(transform(line["x_value"]))).summary_frame(alpha=0.05)
    for mine, column in (("estimate", "mean"), ("low", "mean_ci_lower"), ("high", "mean_ci_upper")):
        np.testing.assert_allclose(line[mine], theirs[column], rtol=1e-9)
    assert (line["x_value"].min(), line["x_value"].max()) == pytest.approx(
        (dots["x_value"].min(), dots["x_value"].max())
    )


def test_what_is_drawn_is_the_table(drawn):
    figure = correlation_figure.figure(drawn)
    assert len([ax for ax in figure.axes if ax.axison]) == 5
    ax = figure.axes[0]
    first = drawn[(drawn["subset"] == "pretrained") & (drawn["x"] == "imagenet_top1")]
    for family, members in first[first["kind"] == "point"].groupby("family"):
        colour, marker = style.FAMILIES[family]
        line = next(one for one in ax.lines if to_hex(one.get_color()) == colour.lower())
        assert line.get_marker() == marker
        np.testing.assert_allclose(line.get_xydata(), members[["x_value", "estimate"]] * [100, 1])
    assert ax.get_xlim()[0] < 100 * first["x_value"].min()
    assert {ax.get_xscale() for ax in figure.axes if ax.axison} == {"linear", "log"}


def test_families_differ_in_colour_and_in_marker():
    colours, markers = zip(*style.FAMILIES.values(), style.OTHER_FAMILY, strict=True)
    assert len(set(colours)) == len(set(markers)) == 7
    assert set(reference.figure1()["family"]) == set(style.FAMILIES)


def test_names_do_not_collide_and_are_not_cut_off(drawn):
    figure = correlation_figure.figure(drawn, None, ["A note that is long enough to need more than one line. " * 4])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for ax in figure.axes[:5]:
        names = [text for text in ax.texts if isinstance(text, Annotation)]
        boxes = [Text.get_window_extent(text, renderer) for text in names]
        spots = ax.transData.transform([text.xy for text in names])
        assert len(names) in (11, 16)
        assert not any(box.contains(*spot) for box, name in zip(boxes, names, strict=True)
                       for spot, other in zip(spots, names, strict=True) if other is not name)  # fmt: skip
        overlaps = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        assert overlaps == 0, [name.get_text() for name in names]
        assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_the_title_gives_the_correlation_of_record(drawn):
    correlations = pd.DataFrame(
        [["imagenet_top1", "auroc", "pretrained", "spearman", 0.0824, -0.5, 0.68]],
        columns=["x", "y", "subset", "method", "estimate", "low", "high"],
    )
    titles = [ax.get_title(loc="left") for ax in correlation_figure.figure(drawn, correlations).axes if ax.axison]
    assert titles[0] == "pretrained, n = 16: \N{GREEK SMALL LETTER RHO} = 0.08 (\N{MINUS SIGN}0.50 to 0.68)"
    assert titles[-1] == "pretrained minus scratch, n = 11"


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_points_do_not_fail(n, points, tmp_path):
    few = panel_of(points, "parameters", "pretrained").head(n)
    table = correlation_figure.table(few)
    assert (table["kind"] == "line").any() == (n == 3)
    style.save(correlation_figure.figure(table), table, tmp_path, "correlation")
    assert (tmp_path / "correlation.png").stat().st_size > 1000


def test_unknown_families_names_and_undefined_values_are_drawn(tmp_path):
    row = ["parameters", "auroc", "scratch", "$\\frac{", "<b>$", 2e6, np.nan, np.nan, np.nan, 0.95, 1]
    rows = [row, [*row[:5], 3e6, 0.8, 0.79, 0.82, 0.95, 1]]
    table = correlation_figure.table(pd.DataFrame(rows, columns=POINT_COLUMNS))
    figure = correlation_figure.figure(table)
    style.save(figure, table, tmp_path, "correlation")
    assert [text.get_text() for text in figure.axes[0].texts] == ["$\\frac{"]
    assert "Bars:" in figure.texts[0].get_text()


def test_what_line_and_bars_are_is_said_where_they_are(drawn, points):
    said = correlation_figure.figure(drawn, None, ["First."]).texts[0].get_text()
    assert said.startswith("First.\nLine and band: least squares")
    assert "95 %" in said
    assert "bars" not in said  # nothing is known of the paper's test set
    few = correlation_figure.table(points.head(2))
    assert correlation_figure.figure(few).texts == []


def test_the_style_stays_in_the_figure_and_the_picture_is_the_same_again(drawn):
    before = dict(mpl.rcParams)
    once, again = (style.data_uri(correlation_figure.figure(drawn)) for _ in range(2))
    assert once == again
    assert dict(mpl.rcParams) == before
