import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from analysis.figures import auroc as auroc_figure
from analysis.figures import style


def make_table(*cells):
    rows = []
    for i, (arch, family, pretrained, truncate) in enumerate(cells):
        row = {
            "cell": f"c{i}",
            "arch": arch,
            "family": family,
            "pretrained": pretrained,
            "truncate": truncate,
            "seed": 0,
        }
        row |= {"level": 0.95, "method": "percentile bootstrap", "unit": "study", "n_units": 200, "n_resamples": 1000}
        for task, value in (("edema", 0.5), ("mean", 0.8 + i / 100)):
            rows.append(row | {"task": task, "estimate": value, "low": value - 0.02, "high": value + 0.03})
    return pd.DataFrame(rows)


@pytest.fixture
def auroc():
    return make_table(
        ("d1", "Dense", True, 0), ("d1", "Dense", False, 0), ("d1", "Dense", True, 1), ("d2", "Dense", True, 0),
        ("r1", "Res", False, 0),
    )  # fmt: skip


def test_points_are_the_means_of_whole_networks(auroc):
    points = auroc_figure.table(auroc)
    assert points["cell"].tolist() == ["c0", "c1", "c3", "c4"]
    assert points["estimate"].tolist() == pytest.approx([0.80, 0.81, 0.83, 0.84])
    assert points["row"].tolist() == [0, 0, 1, 2.5]  # half a row between families
    assert points["y"].tolist() == [-0.125, 0.125, 1, 2.5]


def test_what_is_drawn_is_the_table(auroc):
    points = auroc_figure.table(auroc)
    ax = auroc_figure.figure(auroc, points).axes[0]
    for pretrained in (True, False):
        side = points[points["pretrained"] == pretrained].sort_values("y")
        lines = [line for line in ax.lines if (to_hex(line.get_markerfacecolor()) != "#ffffff") == pretrained]
        dots = np.concatenate([line.get_xydata() for line in lines])
        np.testing.assert_array_equal(dots[np.argsort(dots[:, 1])], side[["estimate", "y"]])
    bars = np.concatenate([np.array(lines.get_segments()) for lines in ax.collections])
    np.testing.assert_array_equal(bars[np.argsort(bars[:, 0, 1]), :, 0], points.sort_values("y")[["low", "high"]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["d1", "d2", "r1"]
    assert ax.get_xlim()[0] < points["low"].min()
    assert ax.get_xlim()[1] > points["high"].max()
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row on top


def test_what_the_bars_are_is_said(auroc):
    figure = auroc_figure.figure(auroc, auroc_figure.table(auroc))
    assert figure.get_suptitle() == "Bars: 95 % percentile bootstrap interval, n = 200 studies, 1000 resamples."
    assert figure.axes[0].get_xlabel() == "Mean AUROC of 1 tasks"


def test_a_family_has_its_colour_and_marker_whatever_the_network(auroc):
    auroc["family"] = auroc["family"].map({"Dense": "DenseNet", "Res": "ResNet"})
    ax = auroc_figure.figure(auroc, auroc_figure.table(auroc)).axes[0]
    drawn = {(to_hex(line.get_color()), line.get_marker()) for line in ax.lines}
    assert drawn == {(colour.lower(), marker) for colour, marker in map(style.mark, ("DenseNet", "ResNet"))}


@pytest.mark.parametrize(("n", "named"), [(16, True), (150, False)])
def test_rows_stay_on_a_page_and_go_without_names_where_these_could_not_be_read(n, named):
    table = make_table(*[(f"a{i:03d}", "DenseNet", pretrained, 0) for i in range(n) for pretrained in (True, False)])
    figure = auroc_figure.figure(table, auroc_figure.table(table))
    assert figure.get_figheight() < 250 * style.MM
    assert bool(figure.axes[0].get_yticklabels()) == named
    assert ("too many rows to name" in figure.get_suptitle()) != named
    assert sum(len(line.get_xdata()) for line in figure.axes[0].lines) == 2 * n


@pytest.mark.parametrize(("n", "width"), [(1, "two"), (4, "one"), (32, "two")])
def test_nothing_is_cut_off_and_no_names_overlap(n, width, tmp_path):
    archs = [(f"mobilenetv3_large_{i:03d}", f"Family {i // 5}") for i in range((n + 1) // 2)]
    table = make_table(*[(*arch, pretrained, 0) for arch in archs for pretrained in (True, False)][:n])
    points = auroc_figure.table(table)
    warning = "A warning that is long enough to need more than a single line. " * 3
    figure = auroc_figure.figure(table, points, [warning], style.Format(width, "serif"))
    assert figure.get_figwidth() == pytest.approx(style.WIDTHS[width] / 25.4)
    style.save(figure, points, tmp_path, "auroc")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "auroc.csv"), points, check_dtype=False)
    figure.draw_without_rendering()  # places are those of the last drawing, which was in another resolution
    renderer = FigureCanvasAgg(figure).get_renderer()
    ax, page = figure.axes[0], figure.bbox
    names = [label.get_window_extent(renderer) for label in ax.get_yticklabels()]
    texts = [*names, *(text.get_window_extent(renderer) for text in (*ax.texts, *figure.texts, ax.xaxis.label))]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in texts)
    assert not any(a.overlaps(b) for i, a in enumerate(names) for b in names[:i])
    legend = figure.legends[0].get_window_extent(renderer)
    assert not any(legend.overlaps(box) for box in texts)
    assert page.x0 <= legend.x0
    assert legend.x1 <= page.x1


def test_undefined_means_and_truncated_cells_alone_do_not_fail(tmp_path):
    table = make_table(("d1", "Dense", True, 0), ("d2", "Dense", True, 1))
    table[["estimate", "low", "high"]] = np.nan
    for rows in (table, table[table["truncate"] == 1]):
        points = auroc_figure.table(rows)
        style.save(auroc_figure.figure(rows, points), points, tmp_path, "auroc")
        assert (tmp_path / "auroc.png").stat().st_size > 1000


def test_names_are_not_read_as_formulas(tmp_path):
    table = make_table(("$\\frac{", "<b>$", True, 0))
    style.save(auroc_figure.figure(table, auroc_figure.table(table), ["$x"]), table, tmp_path, "auroc")
    assert (tmp_path / "auroc.pdf").read_bytes().startswith(b"%PDF")


def test_the_style_stays_in_the_figure(auroc, tmp_path):
    before = dict(mpl.rcParams)
    points = auroc_figure.table(auroc)
    style.save(auroc_figure.figure(auroc, points), points, tmp_path, "auroc")
    assert dict(mpl.rcParams) == before


def test_the_same_points_give_the_same_picture(auroc):
    points = auroc_figure.table(auroc)
    once, again = (style.data_uri(auroc_figure.figure(auroc, points)) for _ in range(2))
    assert once == again
