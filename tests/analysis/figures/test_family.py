import numpy as np
import pandas as pd

from analysis.figures import family


def points():
    rows = [
        (x, "auroc", subset, arch, name, value, 0.8 + 0.01 * i, 0.79, 0.84)
        for x in ("parameters", "imagenet_top1")
        for subset in ("pretrained", "scratch")
        for i, (arch, name, value) in enumerate(
            [("resnet34", "ResNet", 2.1e7), ("resnet18", "ResNet", 1.1e7), ("mnasnet_100", "MNASNet", 3.1e6)]
        )
    ]
    return pd.DataFrame(rows, columns=["x", "y", "subset", "arch", "family", "x_value", "estimate", "low", "high"])


def test_the_table_holds_sizes_alone_by_family_and_size():
    drawn = family.table(points())
    assert len(drawn) == 6
    assert drawn["arch"].tolist()[:3] == ["mnasnet_100", "resnet18", "resnet34"]
    assert drawn["parameters"].max() == 2.1e7


def test_a_line_joins_a_family_and_nobody_else():
    made = family.figure(family.table(points()), ["Bars: an interval."])
    assert [ax.get_title(loc="left") for ax in made.axes] == ["pretrained", "from scratch"]
    lines = {line.get_label(): line.get_xydata() for line in made.axes[0].get_lines()}
    assert set(lines) == {"ResNet", "MNASNet"}
    np.testing.assert_allclose(lines["ResNet"], [[11, 0.81], [21, 0.80]])
    assert made.axes[0].get_ylim() == made.axes[1].get_ylim()
    assert "Bars: an interval." in made.get_suptitle()
