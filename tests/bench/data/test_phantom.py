"""The generated chest X-rays: CheXpert's layout to the letter, the same bytes each time, visible findings."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from bench.data.generated import phantom
from bench.data.generated.chest import VIEWS, draw
from bench.data.generated.folders import stream
from bench.data.generated.patients import (
    FAINT,
    FIVE,
    PREVALENCE,
    SIDED,
    SPAN,
    Findings,
    draw_anatomy,
    draw_findings,
    draw_margins,
    draw_truth,
    labeller_labels,
)
from bench.data.tasks import OBSERVATIONS

SPEC = phantom.PhantomSpec(seed=3, train_patients=30, test_patients=40)
CHEXPERT_COLUMNS = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "Phantom-v1.0-small"
    phantom.generate(path, SPEC)
    return path


@pytest.fixture(scope="module")
def train(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "train.csv")


@pytest.fixture(scope="module")
def valid(root: Path) -> pd.DataFrame:
    return pd.read_csv(root / "valid.csv")


def patients(frame: pd.DataFrame) -> pd.Series:
    return frame["Path"].str.extract(r"/(patient\d{5})/")[0]


# ---- the folder -------------------------------------------------------------------------------------------------


def test_same_spec_gives_the_same_bytes_of_every_file(root: Path, tmp_path: Path) -> None:
    again = tmp_path / root.name
    phantom.generate(again, SPEC)
    assert digests(again) == digests(root)
    assert len(digests(root)) > 100


def test_another_seed_gives_other_images(root: Path, tmp_path: Path) -> None:
    other = tmp_path / root.name
    phantom.generate(other, replace(SPEC, seed=4, train_patients=3, test_patients=2))
    ours, theirs = digests(root), digests(other)
    common = [name for name in ours if name in theirs and name.endswith(".jpg")]
    assert common
    assert all(ours[name] != theirs[name] for name in common)


def test_an_image_does_not_depend_on_how_many_others_there_are(root: Path, tmp_path: Path) -> None:
    small = tmp_path / root.name
    phantom.generate(small, replace(SPEC, train_patients=4, test_patients=1))
    images = {name: digest for name, digest in digests(small).items() if name.endswith(".jpg")}
    assert images.items() <= digests(root).items()


def test_images_of_a_set_all_differ(root: Path) -> None:
    images = [digest for name, digest in digests(root).items() if name.endswith(".jpg")]
    assert len(set(images)) == len(images)


def test_card_says_how_the_set_was_made(root: Path) -> None:
    card = json.loads((root / "phantom.json").read_text())
    assert phantom.PhantomSpec(**card["spec"]) == SPEC
    assert card["version"] == phantom.VERSION


def test_a_failure_midway_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = phantom.write_image, []

    def fail_at_the_fifth(path: Path, grey: np.ndarray) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        real(path, grey)
        written.append(path)

    monkeypatch.setattr(phantom, "write_image", fail_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        phantom.generate(tmp_path / "set", SPEC)
    assert len(written) == 4
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not empty"):
        phantom.generate(tmp_path / "set", SPEC)
    assert digests(tmp_path).keys() == {"set/thesis.txt"}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    phantom.generate(tmp_path / "set", replace(SPEC, train_patients=1, test_patients=1))
    assert (tmp_path / "set" / "train.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    "wrong",
    [{"seed": -1}, {"train_patients": 0}, {"train_patients": 64541}, {"test_patients": 0}, {"label_noise": 0.5}],
)
def test_specs_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(SPEC, **wrong)


# ---- the CSV files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "valid"])
def test_columns_are_chexperts_in_order(root: Path, split: str) -> None:
    assert (root / f"{split}.csv").read_text().splitlines()[0] == CHEXPERT_COLUMNS


@pytest.mark.parametrize("split", ["train", "valid"])
def test_rows_and_images_match_one_to_one(root: Path, split: str) -> None:
    rows = pd.read_csv(root / f"{split}.csv")["Path"]
    pattern = rf"{root.name}/{split}/patient\d{{5}}/study[123]/view(1_frontal|2_lateral)\.jpg"
    assert rows.map(lambda path: pd.Series([path]).str.fullmatch(pattern)[0]).all()
    assert set(rows) == {str(path.relative_to(root.parent)) for path in (root / split).rglob("*.jpg")}
    assert rows.is_unique


def test_images_are_grey_390_by_320(root: Path) -> None:
    for path in root.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (390, 320))


def test_no_patient_is_on_both_sides(train: pd.DataFrame, valid: pd.DataFrame) -> None:
    assert patients(train).nunique() == SPEC.train_patients
    assert patients(valid).nunique() == SPEC.test_patients
    assert set(patients(train)).isdisjoint(patients(valid))


def test_labels_use_each_files_own_vocabulary(train: pd.DataFrame, valid: pd.DataFrame) -> None:
    for name in FIVE:
        assert set(train[name].dropna()) == {1.0, 0.0, -1.0}
        assert train[name].isna().any()
        assert set(valid[name]) == {0.0, 1.0}
    assert set(valid[list(OBSERVATIONS)].to_numpy().ravel()) == {0.0, 1.0}
    assert set(train["No Finding"].dropna()) == {1.0}


def test_valid_has_no_fracture(valid: pd.DataFrame) -> None:
    assert (valid["Fracture"] == 0).all()


def test_valid_observations_agree_with_each_other(valid: pd.DataFrame) -> None:
    findings = [name for name in OBSERVATIONS if name not in {"No Finding", "Support Devices"}]
    assert ((valid["No Finding"] == 1) == (valid[findings].sum(axis=1) == 0)).all()
    opacity = valid[["Edema", "Consolidation", "Atelectasis"]].any(axis=1)
    assert (valid["Lung Opacity"].eq(1) == opacity).all()


def test_only_laterals_have_no_projection(train: pd.DataFrame, valid: pd.DataFrame) -> None:
    rows = pd.concat([train, valid])
    assert set(rows["Frontal/Lateral"]) == {"Frontal", "Lateral"}
    assert (rows["AP/PA"].isna() == rows["Frontal/Lateral"].eq("Lateral")).all()
    assert set(rows["AP/PA"].dropna()) == {"AP", "PA"}
    assert (rows["Path"].str.contains("lateral") == rows["Frontal/Lateral"].eq("Lateral")).all()


def test_sex_is_unknown_in_one_row_and_ages_are_whole(train: pd.DataFrame, valid: pd.DataFrame) -> None:
    assert (train["Sex"] == "Unknown").sum() == 1
    assert set(valid["Sex"]) == {"Male", "Female"}
    assert pd.api.types.is_integer_dtype(train["Age"])


def test_default_spec_has_the_sizes_it_promises() -> None:
    train_plan, valid_plan = (phantom.plan(phantom.PhantomSpec(), split) for split in ("train", "valid"))
    assert 760 <= sum(len(study.views) for study in train_plan) <= 840
    assert 190 <= len(valid_plan) <= 210
    assert 245 <= sum(len(study.views) for study in valid_plan) <= 275
    for name in FIVE:
        assert 0.2 < np.mean([study.labels[name] for study in valid_plan]) < 0.42


# ---- truth and labels -------------------------------------------------------------------------------------------


def test_findings_have_their_prevalence_and_go_together() -> None:
    margins = pd.DataFrame([draw_margins(stream(0, i).standard_normal(6), rng=stream(1, i)) for i in range(4000)])
    for name in FIVE:
        assert (margins[name] > 0).mean() == pytest.approx(PREVALENCE[name], abs=0.03)
    corr = margins.corr()
    assert corr.loc["Cardiomegaly", "Edema"] == pytest.approx(0.60 * 0.65, abs=0.05)
    assert corr.loc["Edema", "Pleural Effusion"] > corr.loc["Consolidation", "Atelectasis"]


def test_without_noise_the_labeller_never_says_the_opposite() -> None:
    for i in range(200):
        rng = stream(0, i)
        truth = draw_truth(draw_margins(np.zeros(6), rng=rng), fractures=True, rng=rng)
        labels = labeller_labels(truth, noise=0.0, rng=rng)
        assert not [
            name for name, there in truth.items() if labels[name] == (0.0 if there else 1.0) and name != "No Finding"
        ]


def test_label_noise_is_the_share_it_says() -> None:
    truth = dict.fromkeys(OBSERVATIONS, False)
    wrong = [labeller_labels(truth, noise=0.03, rng=stream(0, i))["Edema"] == 1 for i in range(4000)]
    assert np.mean(wrong) == pytest.approx(0.03 * 0.85, abs=0.01)


def test_severity_grows_through_the_threshold_without_a_step() -> None:
    def severity(margin: float) -> float:
        found = draw_findings(dict.fromkeys(FIVE, margin), dict.fromkeys(OBSERVATIONS, False), rng=stream(0, 0))
        return found.severity["Edema"]

    assert severity(-2.0) == 0
    assert 0 < severity(-0.1) < severity(0.1) < severity(1.0)
    assert severity(0.001) - severity(-0.001) < 0.01


# ---- the pictures -----------------------------------------------------------------------------------------------

RIGHT, LEFT = 0, 1
SHOWN = [name for name in OBSERVATIONS if name not in {"No Finding", "Lung Opacity"}]  # these two are other findings'


def picture(severity: dict[str, float], *, view: str = "frontal", side: int = RIGHT) -> np.ndarray:
    """Returns a picture whose pose, noise and display are the same for all findings."""
    places = dict.fromkeys(SIDED, side), dict.fromkeys(SIDED, 0.2), dict.fromkeys(SIDED, 0.5)
    findings = Findings(dict.fromkeys(OBSERVATIONS, 0.0) | severity, *places)
    patient = draw_anatomy(rng=stream(5, 1))
    return draw(VIEWS[view], patient, findings, anteroposterior=False, rng=stream(5, 2)).astype(float)


def change(name: str, severity: float, *, view: str = "frontal", side: int = RIGHT) -> np.ndarray:
    return picture({name: severity}, view=view, side=side) - picture({}, view=view, side=side)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", SHOWN)
def test_every_observation_leaves_a_trace_that_grows_with_its_severity(name: str, view: str) -> None:
    slight, full = (np.abs(change(name, severity, view=view)).sum() for severity in (0.3, 1.0))
    assert np.abs(change(name, 1.0, view=view)).max() > 10  # grey values
    assert 0 < slight <= full
    assert slight < 0.9 * full or name == "Support Devices"  # a catheter is there, or not


@pytest.mark.parametrize("side", [RIGHT, LEFT])
@pytest.mark.parametrize("name", SIDED)
def test_a_finding_of_one_lung_leaves_the_other_as_it_is(name: str, side: int) -> None:
    changed = np.abs(change(name, 0.8, side=side))
    own, other = (changed[:, :170], changed[:, 220:])[:: 1 if side == RIGHT else -1]
    assert own.sum() > 0
    assert other.sum() == 0


def test_the_lungs_are_dark_between_heart_and_ribs() -> None:
    film = picture({})
    assert film.shape == (320, 390)
    assert film[140:180, 100:130].mean() + 40 < film[140:180, 185:205].mean()  # the right lung, the spine


def test_a_larger_effusion_stands_higher_and_a_larger_heart_is_wider() -> None:
    tops = [np.argmax((change("Pleural Effusion", severity) > 20).any(axis=1)) for severity in (0.2, 0.5, 0.8)]
    assert tops[0] > tops[1] > tops[2]
    widths = [(np.abs(change("Cardiomegaly", severity)) > 20).sum() for severity in (0.2, 0.5, 0.8)]
    assert widths[0] < widths[1] < widths[2]


def test_a_linear_reader_finds_each_finding_and_errs() -> None:
    """The pictures can be learnt from, and by no means perfectly: faint positives look like negatives."""
    spec = phantom.PhantomSpec(seed=1, train_patients=300, test_patients=200, lateral_share=0.0)
    sets = {split: phantom.plan(spec, split) for split in ("train", "valid")}
    pixels = {
        split: np.stack([cv2.resize(phantom.render(spec, one, 1, "frontal"), (24, 20), interpolation=cv2.INTER_AREA)
                         for one in studies]).reshape(len(studies), -1) / 255
        for split, studies in sets.items()
    }  # fmt: skip
    for name in FIVE:
        present = {
            split: np.array([one.findings.severity[name] > FAINT / SPAN for one in studies])
            for split, studies in sets.items()
        }
        reader = LogisticRegression(C=0.1, max_iter=2000).fit(pixels["train"], present["train"])
        assert 0.62 < roc_auc_score(present["valid"], reader.decision_function(pixels["valid"])) < 0.98, name
