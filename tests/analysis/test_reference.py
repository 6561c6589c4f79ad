import csv
import math

import numpy as np
import pytest

from analysis import reference

STATUSES = {"quoted", "digitised", "not readable", "ours"}


@pytest.mark.parametrize("rows", [reference.figure1_rows, reference.printed, reference.imagenet_top1])
def test_every_row_has_a_source_and_a_status(rows):
    frame = rows()
    assert set(frame["status"]) <= STATUSES
    assert frame["source"].str.len().min() > 10


def test_what_is_not_readable_is_nan_and_the_rest_is_there():
    rows = reference.figure1_rows()
    np.testing.assert_array_equal(rows["value"].isna(), rows["status"] == "not readable")
    assert (rows["status"] == "not readable").sum() == 5
    assert set(rows.loc[rows["quantity"] == "parameters", "status"]) == {"ours"}


def test_figure1_is_sixteen_architectures_in_the_papers_order():
    points = reference.figure1()
    assert len(points) == points["arch"].nunique() == 16
    assert points["arch"].tolist()[:4] == ["densenet121", "densenet169", "densenet201", "resnet18"]
    row = points.set_index("arch").loc["resnet50"]
    assert (row["imagenet_top1"], row["auroc_pretrained"], row["auroc_scratch"]) == (0.7615, 0.8585, 0.8550)
    assert row["parameters"] == 23_536_718
    assert points["auroc_scratch"].isna().sum() == 5


def test_top1_is_that_of_the_tags_own_size():
    assert reference.top1("densenet121.tv_in1k") == 0.7475
    assert reference.top1("efficientnet_b3.ra2_in1k") == 0.81472  # at 288 px; 0.82296 at 320
    assert math.isnan(reference.top1("resnet18.own"))
    assert math.isnan(reference.top1("none"))


def test_every_tag_has_one_size_of_its_own_and_every_architecture_one_paper_era_tag():
    table = reference.imagenet_top1()
    assert not table.duplicated(["weights", "img_size"]).any()
    assert (table.groupby("weights")["default"].sum() == 1).all()
    assert (table[table["paper_era"]].groupby("arch")["weights"].nunique() == 1).all()
    assert set(table.loc[table["paper_era"], "arch"]) == set(reference.figure1()["arch"])
    assert all(not math.isnan(reference.top1(reference.paper_era(arch))) for arch in reference.figure1()["arch"])
    assert reference.paper_era("vgg16") == ""


def test_paper_era_tags_are_the_registrys():
    from bench.networks.registry import ARCHITECTURES

    paper = [row for row in ARCHITECTURES.values() if row.paper]
    assert {row.name: f"{row.name}.{row.tag}" for row in paper} == {
        row.name: reference.paper_era(row.name) for row in paper
    }


def test_families_are_the_registrys():
    from bench.networks.registry import ARCHITECTURES

    points = reference.figure1()
    assert dict(zip(points["arch"], points["family"], strict=True)) == {
        name: row.family for name, row in ARCHITECTURES.items() if row.paper
    }


@pytest.mark.slow
def test_parameters_are_those_of_the_networks_as_built():
    timm = pytest.importorskip("timm")
    for row in reference.figure1().to_dict("records"):
        extra = {"aux_logits": False} if row["arch"] == "inception_v3" else {}
        network = timm.create_model(row["arch"], pretrained=False, num_classes=14, **extra)
        assert sum(p.numel() for p in network.parameters()) == row["parameters"], row["arch"]


def test_stored_values_are_the_shared_ones(shared):
    facts = shared / "facts"
    with (facts / "timm_imagenet_top1.csv").open(newline="") as file:
        expected = {(row["model"], int(row["img_size"])): float(row["top1"]) for row in csv.DictReader(file)}
    table = reference.imagenet_top1()
    stored = dict(zip(zip(table["weights"], table["img_size"], strict=True), table["top1_percent"], strict=True))
    assert stored == expected
    points = reference.figure1().set_index("arch")
    with (facts / "chextransfer_figure1_digitised.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            mine = points.loc[row["timm_name"]]
            assert (mine["model"], mine["imagenet_top1"]) == (row["model"], float(row["imagenet_top1"]))
            assert mine["auroc_pretrained"] == float(row["auc_pretrained"])
            assert row["auc_scratch"] == "" or mine["auroc_scratch"] == float(row["auc_scratch"])


def test_what_is_handed_out_is_a_copy():
    printed, table = reference.printed(), reference.imagenet_top1()
    printed.loc[:, "value"] = 0.0
    table.loc[:, "top1_percent"] = 0.0
    assert (reference.printed()["value"] != 0).all()
    assert reference.top1("resnet18.tv_in1k") > 0.6
    assert reference.label("mobilenetv3_large_100") == "MobileNetV3"
    assert reference.label("vgg16") == "vgg16"
