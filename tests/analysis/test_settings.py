import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from analysis.errors import SettingsError
from analysis.settings import DEFAULTS, PROJECT, Settings, read_settings


def test_the_file_holds_every_knob_at_the_default_of_the_code():
    written = OmegaConf.to_container(OmegaConf.load(DEFAULTS), resolve=True)
    assert written == OmegaConf.to_container(OmegaConf.structured(Settings))


def test_words_go_over_the_file():
    settings = read_settings(["experiment=mine", "tracking.uri=http://host", "resamples=50", "level=0.9", "seed=3"])
    assert (settings.experiment, settings.tracking.uri, settings.resamples) == ("mine", "http://host", 50)
    assert (settings.level, settings.seed, settings.out) == (0.9, 3, "report")
    assert (settings.margin, settings.allow_missing) == (0.01, False)
    settings = read_settings(["margin=0.02", "allow_missing=true"])
    assert (settings.margin, settings.allow_missing) == (0.02, True)


def test_filters_are_text_as_typed():
    settings = read_settings(["data_fingerprint=0012e45", "evaluation.level=image", "sweep=null", "data=a=b"])
    assert settings.filters() == {"data": "a=b", "data_fingerprint": "0012e45", "evaluation.level": "image"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("resample=3", "unknown key resample; the keys are experiment, tracking.uri, out, resamples, level"),
        ("tracking=x", "unknown key tracking; the keys are"),
        ("report", "report is not of the form key=value; the keys are"),
        ("resamples=many", "resamples=many: must be a whole number, at least 1"),
        ("resamples=0", "resamples=0: must be at least 1"),
        ("resamples=null", "resamples=null: must be a whole number"),
        ("level=95", "level=95.0: must be below 1"),
        ("level=nan", "level=nan: must be above 0"),
        ("unit=hospital", "unit=hospital: not one of auto, study, patient, image"),
        ("seed=-1", "seed=-1: must be at least 0"),
        ("evaluation.views=median", "evaluation.views=median: not one of max, mean"),
        ("experiment=", "experiment=: must not be empty"),
        ("margin=0", "margin=0.0: must be above 0"),
        ("margin=nan", "margin=nan: must be above 0"),
        ("margin=small", "margin=small: must be a number, above 0, below 1"),
        ("figures.width=85", "figures.width=85: not one of one, two"),
        ("figures.font=arial", "figures.font=arial: not one of sans, serif"),
        ("allow_missing=perhaps", "allow_missing=perhaps: must be true or false"),
        ("results=a,,b", "results=a,,b: not folders, separated by commas"),
    ],
)
def test_wrong_words_are_refused_with_the_valid_ones(word, message):
    with pytest.raises(SettingsError, match=message):
        read_settings([word])


def test_a_wrong_key_in_the_file_is_refused(tmp_path):
    (tmp_path / "report.yaml").write_text("resample: 3\n")
    with pytest.raises(SettingsError, match=r"report.yaml cannot be read: Key 'resample'"):
        read_settings([], tmp_path / "report.yaml")


def test_a_wrong_key_ends_with_2_before_mlflow_is_imported():
    code = "import sys; from analysis.report import main; print(main(['resample=3']), 'mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert done.stderr.startswith("unknown key resample; the keys are experiment")
    assert len(done.stderr.splitlines()) == 1
