"""The limits that a report states are those of its runs."""

from analysis.report import main
from tests.analysis.conftest import make_predictions


def said(store, out, *words):
    assert main([*store.words, f"out={out}", "resamples=50", "permutations=20", *words]) == 0
    page = (out / "index.html").read_text(encoding="utf-8")
    return page.partition(">What this report cannot say</h2>")[2].partition("<h2 ")[0]


def test_a_small_experiment_has_every_limit(store, tmp_path):
    for number, arch in enumerate(("resnet18", "resnet34", "densenet121")):
        store.add(arch, frame=make_predictions(number), tags={"data": "chexpert", "weights": f"{arch}.mine"})
    text = said(store, tmp_path / "r")
    for words in (
        *("One training seed", "One test set, 60 patients of chexpert", "mined from reports", "Few positives"),
        *("densenet121.mine", "3 architectures of 2 families"),
    ):
        assert words in text


def test_what_the_runs_do_not_lack_is_not_said(store, tmp_path):
    for seed in (0, 1):
        frame = make_predictions(seed, n_patients=400)
        run = store.add(seed=seed, frame=frame, tags={"data": "vindr"})
        frame.to_parquet(store.artifact(run, "predictions/nih.parquet"), index=False)
    text = said(store, tmp_path / "r")
    for words in ("One training seed", "One test set", "mined", "Few positives", "weights", "families"):
        assert words not in text
