import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from analysis.figures import curves, style

NETWORKS = (("a", "densenet121", "DenseNet", True), ("b", "resnet18", "ResNet", False))


def roc_points(tasks=5):
    parts = []
    for t in range(tasks):
        for cell, arch, family, pretrained in NETWORKS:
            fpr = np.linspace(0, 1, 11)
            row = {"task": f"task_{t}", "cell": cell, "arch": arch, "family": family, "pretrained": pretrained}
            row |= {"level": 0.95, "unit": "study", "n": 90, "n_positive": 20, "n_resamples": 500, "n_units": 100}
            row |= {"method": "percentile bootstrap"}
            band = {"fpr": fpr, "estimate": fpr**0.5, "low": fpr**0.7, "high": fpr**0.3}
            parts.append(pd.DataFrame(band).assign(**row))
    return pd.concat(parts, ignore_index=True)


def calibration_points():
    rows = [
        {"task": "edema", "cell": cell, "arch": arch, "family": family, "pretrained": pretrained, "score": 0.1 * i}
        | {"estimate": 0.08 * i, "low": 0.05 * i, "high": 0.1 * i, "n": 20 + i, "level": 0.9, "method": "Wilson"}
        for cell, arch, family, pretrained in NETWORKS
        for i in range(5)
    ]
    return pd.DataFrame(rows)


def learning_points(n=2):
    rows = [
        (metric, f"{cell}{i}", arch, family, pretrained, images, images / 1e5 + i / 100)
        for metric in ("valid/auroc", "train/loss")
        for i in range(n)
        for cell, arch, family, pretrained in NETWORKS
        for images in (1000, 2000, 3000)
    ]
    return pd.DataFrame(rows, columns=["metric", "cell", "arch", "family", "pretrained", "images", "value"])


def test_curves_and_bands_are_the_points_in_their_familys_colour():
    points = roc_points(1)
    figure = curves.roc_figure(points, ["Chosen by validation."])
    ax = figure.axes[0]
    for (cell, _, family, pretrained), line in zip(NETWORKS, ax.lines[1:], strict=True):
        rows = points[points["cell"] == cell]
        np.testing.assert_array_equal(line.get_xydata(), rows[["fpr", "estimate"]])
        assert to_hex(line.get_color()) == style.mark(family)[0].lower()
        assert (line.get_linestyle() == "-") == pretrained
    edges = np.concatenate([band.get_paths()[0].vertices[:, 1] for band in ax.collections])
    assert set(points["low"]) <= set(edges)
    assert set(points["high"]) <= set(edges)
    said = figure.get_suptitle().replace("\n", " ")
    assert said.startswith("Chosen by validation.")
    assert "pointwise 95 % percentile bootstrap interval" in said
    assert "n = 100 studies, 500 resamples" in said
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "DenseNet121, pretrained",
        "ResNet18, from scratch",
    ]


def test_calibration_is_drawn_as_counted_and_its_bars_are_named():
    points = calibration_points()
    figure = curves.calibration_figure(points)
    ax = figure.axes[0]
    np.testing.assert_allclose(
        np.concatenate([line.get_xydata() for line in ax.lines[1:]]), points[["score", "estimate"]]
    )
    assert "90 % Wilson interval" in figure.get_suptitle()
    assert ax.get_title(loc="left") == "Edema\n20 to 24 in a bin"


def test_learning_has_a_panel_a_metric_and_arm():
    points = learning_points()
    figure = curves.learning_figure(points, ["Two lines."])
    assert len(figure.axes) == 4
    first = points[(points["metric"] == "valid/auroc") & points["pretrained"]]
    lines = np.concatenate([line.get_xydata() for line in figure.axes[0].lines])
    np.testing.assert_allclose(lines, np.column_stack([first["images"] / 1000, first["value"]]))
    assert len(curves.learning_figure(points[points["pretrained"].astype(bool)]).axes) == 2


@pytest.mark.parametrize(("tasks", "width"), [(1, "two"), (5, "one"), (14, "two")])
def test_nothing_is_cut_off_and_no_words_overlap(tasks, width, tmp_path):
    points = roc_points(tasks)
    figure = curves.roc_figure(points, ["A note that is long enough to need a second line. " * 4], style.Format(width))
    style.save(figure, points, tmp_path, "roc")
    figure.draw_without_rendering()  # places are those of the last drawing, which was in another resolution
    renderer, page = FigureCanvasAgg(figure).get_renderer(), figure.bbox
    words = [figure.legends[0], *figure.texts]
    words += [part for ax in figure.axes if ax.axison for part in (ax.xaxis.label, ax.yaxis.label, ax._left_title)]
    boxes = [word.get_window_extent(renderer) for word in words if not hasattr(word, "get_text") or word.get_text()]
    for i, box in enumerate(boxes):
        assert page.x0 - 1 <= box.x0
        assert box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0
        assert box.y1 <= page.y1 + 1
        assert not any(box.overlaps(other) for other in boxes[:i])
