"""The generated chest X-rays: CheXpert's layout to the letter, the same bytes each time, visible findings."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.data.generated import stream
from bench.data.phantom import dataset as phantom
from bench.data.phantom.drawing import Frame, Pose, draw_pose, expose, make_frame
from bench.data.phantom.frontal import HEART_GROWTH, aeration, frontal, heart_mask, make_lung, mediastinum_mask
from bench.data.phantom.labels import draw_truth, labeller_labels
from bench.data.phantom.lateral import lateral
from bench.data.phantom.patient import (
    DRAWN,
    PREVALENCE,
    Anatomy,
    Course,
    Findings,
    draw_anatomy,
    draw_course,
    draw_study,
    place_findings,
)
from bench.data.tasks import OBSERVATIONS

SPEC = phantom.PhantomSpec(seed=3, train_patients=30, test_patients=40)
TASKS = ["Cardiomegaly", "Edema", "Consolidation", "Atelectasis", "Pleural Effusion"]
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
    for name in TASKS:
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
    for name in TASKS:
        assert 0.2 < np.mean([study.labels[name] for study in valid_plan]) < 0.42


# ---- truth and labels -------------------------------------------------------------------------------------------


def test_findings_have_their_prevalence_and_go_together() -> None:
    margins = pd.DataFrame([draw_study(draw_course(rng=stream(0, i)), rng=stream(1, i)) for i in range(4000)])
    for name in DRAWN:
        assert (margins[name] > 0).mean() == pytest.approx(PREVALENCE[name], abs=0.03)
    corr = margins.corr()
    assert corr.loc["Cardiomegaly", "Edema"] == pytest.approx(0.60 * 0.65, abs=0.05)
    assert corr.loc["Edema", "Pleural Effusion"] > corr.loc["Consolidation", "Atelectasis"]


def test_without_noise_the_labeller_never_says_the_opposite() -> None:
    course = Course(0.0, np.zeros(5))
    for i in range(200):
        rng = stream(0, i)
        truth = draw_truth(draw_study(course, rng=rng), fractures=True, rng=rng)
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
        margins = dict.fromkeys(DRAWN, margin)
        return place_findings(margins, widening=0.0, catheter=False, rng=stream(0, 0)).edema

    assert severity(-2.0) == 0
    assert 0 < severity(-0.1) < severity(0.1) < severity(1.0)
    assert severity(0.001) - severity(-0.001) < 0.01


# ---- the pictures -----------------------------------------------------------------------------------------------

STILL = Pose(0.0, (0.0, 0.0), 1.0, 1.0, 0.0, 1.0, 0.5, 0.02, 0.02, -1.0)
PATIENT: Anatomy = draw_anatomy(rng=stream(5, 1))


def picture(findings: Findings, view: str = "frontal") -> np.ndarray:
    frame = make_frame(STILL)
    if view == "lateral":
        return lateral(frame, PATIENT, findings, rng=stream(5, 2))
    return frontal(frame, PATIENT, findings, anteroposterior=False, rng=stream(5, 2))


def lung_region(frame: Frame, side: int) -> np.ndarray:
    return aeration(make_lung(frame, PATIENT, Findings(), side), frame.y) > 0.7


def change(findings: Findings, view: str = "frontal") -> np.ndarray:
    return picture(findings, view) - picture(Findings(), view)


def test_cardiomegaly_widens_the_heart() -> None:
    frame = make_frame(STILL)
    widths = [
        int((heart_mask(frame, PATIENT, Findings(cardiomegaly=severity)) > 0.5).any(axis=0).sum())
        for severity in (0.0, 0.5, 1.0)
    ]
    assert widths[0] < widths[1] < widths[2]
    assert widths[2] / widths[0] == pytest.approx((PATIENT.heart_ratio + HEART_GROWTH) / PATIENT.heart_ratio, rel=0.1)


def test_cardiomegaly_brightens_beside_the_heart_only() -> None:
    frame, difference = make_frame(STILL), change(Findings(cardiomegaly=0.8))
    assert difference[(np.abs(frame.x) < 0.6) & (frame.y > 0)].mean() > 0.01
    assert np.abs(difference[frame.y < -0.5]).max() == 0


@pytest.mark.parametrize(("side", "effusion"), [(-1, (0.5, 0.0)), (1, (0.0, 0.5))])
def test_effusion_fills_the_lowest_part_of_its_own_side(side: int, effusion: tuple[float, float]) -> None:
    frame, difference = make_frame(STILL), change(Findings(effusion=effusion))
    angle = lung_region(frame, side) & (frame.y > PATIENT.floor - 0.2) & (np.abs(frame.x) > 0.5)
    assert difference[angle].mean() > 0.2
    assert np.abs(difference[lung_region(frame, -side)]).max() == 0
    assert np.abs(difference[frame.y < PATIENT.apex + 0.3]).max() == 0


def test_a_larger_effusion_stands_higher() -> None:
    tops = [np.argmax((change(Findings(effusion=(s, 0.0))) > 0.1).any(axis=1)) for s in (0.1, 0.4, 0.8)]
    assert tops[0] > tops[1] > tops[2]


@pytest.mark.parametrize("side", [-1, 1])
def test_consolidation_is_a_patch_in_its_zone(side: int) -> None:
    findings = Findings(
        consolidation=0.7, consolidation_side=side, consolidation_at=(0.55, 0.4), consolidation_size=0.2
    )
    frame, difference = make_frame(STILL), change(findings)
    u0, y0 = make_lung(frame, PATIENT, findings, side).at(0.55, 0.4)
    distance = np.hypot(frame.x - side * u0, frame.y - y0)
    assert difference[distance < 0.1].mean() > 0.15
    assert np.abs(difference[distance > 0.55]).max() == 0


def test_edema_is_haze_of_both_sides_that_fades_to_the_periphery() -> None:
    frame, difference = make_frame(STILL), change(Findings(edema=0.7))
    near = np.hypot(np.abs(frame.x) - 0.33, frame.y) < 0.15
    covered = heart_mask(frame, PATIENT, Findings()) + mediastinum_mask(frame, PATIENT, Findings()) > 0
    far = np.abs(frame.x) > PATIENT.lung_width - 0.1
    for side in (-1, 1):
        lung = lung_region(frame, side) & ~covered
        assert difference[lung & near].mean() > 0.08
        assert difference[lung & near].mean() > 1.5 * np.abs(difference[lung & far]).mean()  # even haze: 1.3


@pytest.mark.parametrize("side", [-1, 1])
def test_atelectasis_draws_a_plate_and_takes_volume(side: int) -> None:
    frame = make_frame(STILL)
    findings = Findings(atelectasis=0.7, atelectasis_side=side)
    sound, sick = (make_lung(frame, PATIENT, found, side) for found in (Findings(), findings))
    assert aeration(sick, frame.y).sum() < 0.93 * aeration(sound, frame.y).sum()
    assert sick.bottom.min() < sound.bottom.min() - 0.05  # the diaphragm is raised
    u0, y0 = sick.at(*findings.atelectasis_at)
    plate = np.hypot(frame.x - side * u0, 4 * (frame.y - y0 + 0.07)) < 0.12
    assert change(findings)[plate].mean() > 0.08
    beyond = lung_region(frame, -side) & (np.abs(frame.x) > 0.5) & (frame.y < 0)
    assert np.abs(change(findings)[beyond]).max() < 1e-6


@pytest.mark.parametrize(
    "findings",
    [
        Findings(cardiomegaly=0.8),
        Findings(edema=0.8),
        Findings(consolidation=0.8),
        Findings(atelectasis=0.8),
        Findings(effusion=(0.6, 0.0)),
    ],
    ids=DRAWN,
)
def test_laterals_show_each_finding_as_brightness(findings: Findings) -> None:
    difference = change(findings, "lateral")
    assert difference.max() > 0.08
    assert difference.sum() > 0
    assert np.abs(difference[:, -10:]).max() == 0  # the air behind the back


def test_exposure_keeps_the_order_of_air_lung_and_heart() -> None:
    frame, film = make_frame(STILL), expose(picture(Findings()), STILL, rng=stream(5, 3))
    assert film.shape == (320, 390)
    small = film[::2, ::2].astype(float)
    lung, heart = lung_region(frame, -1), heart_mask(frame, PATIENT, Findings()) > 0.9
    assert small[lung].mean() + 40 < small[heart].mean()


def test_points_come_back_to_the_pixels_they_were_read_from() -> None:
    frame = make_frame(draw_pose(rng=stream(8, 8), clutter=1.0))
    points = np.array([[frame.x[20, 30], frame.y[20, 30]], [frame.x[150, 10], frame.y[150, 10]]], float)
    assert np.allclose(frame.to_pixels(points), [(61, 41), (21, 301)], atol=0.01)
