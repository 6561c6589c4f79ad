"""Label efficiency through the whole report."""

import pandas as pd
import pytest

from analysis.axes import suffix
from analysis.evaluation import MEAN
from analysis.report import main
from tests.analysis.conftest import make_predictions
from tests.analysis.recorded import card, leave_card, split
from tests.analysis.test_axes import params

PATIENTS = {"1.0": 1000, "0.1": 100, "0.01": 10}


@pytest.fixture
def sweep(store):
    for i, arch in enumerate(("resnet18", "densenet121")):
        for pretrained, adapt in ((True, "full"), (True, "linear"), (False, "full")):
            for step, (fraction, patients) in enumerate(PATIENTS.items()):
                changes = {"data.fraction": fraction, "adapt": adapt}
                frame = make_predictions(7 * i + step, skill=2 + 0.5 * pretrained - 0.6 * step)
                used = f"used-{fraction}"
                run = store.add(
                    arch, pretrained, params=params(changes), frame=frame,
                    tags={"cell": f"{arch}-{pretrained}{suffix(changes)}", "data_fingerprint": used, "data_whole": "w"},
                )  # fmt: skip
                whole = split(patients + 2, labels={})
                leave_card(store, run, card(fingerprint=used, splits={"train": whole}, tasks=[]))
    return store


def test_points_are_the_aurocs_at_the_patients_of_the_data_cards(sweep, tmp_path):
    out = tmp_path / "r"
    assert main([*sweep.words, f"out={out}", "resamples=200", "permutations=50"]) == 0
    table = pd.read_csv(out / "tables" / "label_efficiency.csv")
    auroc = pd.read_csv(out / "tables" / "auroc.csv")
    means = auroc[auroc["task"] == MEAN].set_index("cell")["estimate"]
    points = table[(table["statistic"] == "auroc") & (table["arch"] != "mean of all")]
    assert len(points) == 2 * 3 * 3
    fractions = {patients: fraction for fraction, patients in PATIENTS.items()}
    for row in points.to_dict("records"):
        changes = {"data.fraction": fractions[row["patients"]], "adapt": row["adapt"]}
        assert row["estimate"] == pytest.approx(means[f"{row['arch']}-{row['pretrained']}{suffix(changes)}"], abs=1e-12)
    worth = table[table["statistic"] == "worth"]
    assert len(worth) == 3 * 2 * 3  # two architectures and their mean, full and linear
    assert (worth["low"] <= worth["estimate"]).all()
    assert (worth["estimate"] <= worth["high"]).all()
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "Label efficiency" in page
    assert "&gt; 1.0" in page
    assert (out / "figures" / "label_efficiency.png").is_file()


def test_without_a_share_or_a_card_it_is_said_why_there_is_none(store, tmp_path):
    store.add()
    words = [*store.words, "resamples=20", "permutations=20", "allow_missing=true"]
    assert main([*words, f"out={tmp_path / 'r'}"]) == 0
    assert "+sweeps=fractions varies it" in (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    store.add(
        params=params({"data.fraction": "0.1"}),
        tags={"cell": "few", "data_fingerprint": "few", "data_whole": "0123456789"},
    )
    assert main([*words, f"out={tmp_path / 's'}"]) == 0
    assert "data cards do not say on how many patients" in (tmp_path / "s" / "index.html").read_text(encoding="utf-8")
    assert pd.read_csv(tmp_path / "s" / "tables" / "label_efficiency.csv").empty
