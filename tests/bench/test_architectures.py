import csv
import io

import pytest

from bench.architectures import COLUMNS, main
from bench.networks.registry import ARCHITECTURES


@pytest.fixture(scope="module")
def table():
    from contextlib import redirect_stdout

    text = io.StringIO()
    with redirect_stdout(text):
        assert main(["csv=true"]) == 0
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def test_every_architecture_and_depth_has_a_row(table):
    assert tuple(table[0]) == COLUMNS
    assert [(row["arch"], int(row["truncate"])) for row in table] == [
        (row.name, depth) for row in ARCHITECTURES.values() for depth in range(len(row.cuts) + 1)
    ]


def test_a_row_says_what_is_built(table):
    row = next(row for row in table if row["arch"] == "densenet121" and row["truncate"] == "1")
    assert row["last_module"] == "features.transition3.norm"
    assert int(row["parameters"]) == 4_281_742 + 2 * 1024  # PROTOCOL: 4.282 million, and the norm that is kept
    assert (row["channels"], row["stride"], row["imagenet_top1"]) == ("1024", "16", "")


def test_top1_is_timms_for_the_pinned_weights(table):
    text = {row["arch"]: row["imagenet_top1"] for row in table if row["truncate"] == "0"}
    assert text.pop("tf_efficientnet_lite0") == "", "the reference table has the paper's architectures alone"
    whole = {name: float(value) for name, value in text.items()}
    assert whole["resnet50"] == pytest.approx(0.76156)
    assert whole["efficientnet_b3"] == pytest.approx(0.81472)  # at 288 px, the size its configuration names
    assert all(0.6 < value < 0.85 for value in whole.values())


def test_a_wrong_key_is_refused(capsys):
    assert main(["output=5"]) == 2
    assert "did you mean 'outputs'" in capsys.readouterr().err


def test_help_is_given_before_anything_is_counted(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench.architectures"])
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert "outputs=14     width of the head" in capsys.readouterr().out


def test_the_head_is_counted(capsys):
    main(["csv=true", "outputs=5"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    resnet = next(row for row in rows if row["arch"] == "resnet18" and row["truncate"] == "0")
    assert int(resnet["parameters"]) == 11_183_694 - 9 * 513
