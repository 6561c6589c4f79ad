"""`+sweeps=fractions`, then the report, as users type them."""

import pandas as pd
import pytest

from tests.conftest import TINY
from tests.test_end_to_end import command


@pytest.mark.slow
def test_the_sweep_of_fractions_is_reported(tmp_path):
    shared = [f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    printed = command(
        "bench.run", "-m", "+sweeps=fractions", "sweep.sixteen=resnet18", "pretrained=false", "data.fraction=0.5,1.0",
        "data=phantom", f"data.root={tmp_path}/phantom", "data.phantom.train_patients=90",
        "data.phantom.test_patients=60", *TINY, *shared, f"outputs={tmp_path}/outputs",
    )  # fmt: skip
    for end in ("", "-f0.5", "-linear", "-linear-f0.5"):
        assert f"resnet18-scratch-t0-s0{end}-32px " in printed.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ")
    command("analysis.report", *shared, f"out={tmp_path}/report", "resamples=100", "permutations=100")
    axes = pd.read_csv(tmp_path / "report" / "tables" / "axes.csv")
    assert set(axes["axis"]) == {"adapt", "data_fraction"}
    assert axes["estimate"].notna().all()
    auroc = pd.read_csv(tmp_path / "report" / "tables" / "auroc.csv")
    assert auroc["cell"].nunique() == 4
