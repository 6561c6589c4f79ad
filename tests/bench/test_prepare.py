import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.config import compose_config
from bench.prepare import main, prepare
from tests.bench.data.files import rewrite

HEAVY = {"torch", "pandas", "mlflow"}


@pytest.fixture
def words(phantom_root, tmp_path):
    own = tmp_path / phantom_root.name
    shutil.copytree(phantom_root, own)
    size = ["protocol.image.resize=64", "protocol.image.crop=64", "data.valid_fraction=0.3"]
    return ["data=chexpert", f"data.root={own}", f"data.cache={tmp_path}/cache", *size]


def root_of(words):
    return Path(words[1].partition("=")[2])


def test_a_set_is_decoded_checked_and_described(words, capsys):
    assert main(words) == 0
    said = capsys.readouterr().out
    folder = next(root_of(words).parent.glob("cache/*"))
    images = sum(1 for _ in root_of(words).rglob("*.jpg"))
    assert f"{folder}: {images} images, 0.00 GB, every checksum holds" in said
    assert json.loads((folder / "card.json").read_text())
    assert (folder / "card.md").read_text()
    split = pd.read_csv(folder / "split.csv")
    assert list(split.columns) == ["patient", "split"]
    published = [*(word for word in words if "valid_fraction" not in word), f"data.split_file={folder}/split.csv"]
    assert main(published) == 0


def test_a_second_time_nothing_is_decoded(words, monkeypatch):
    folder = prepare(compose_config(words))
    size = (folder / "images.u8").stat().st_size
    monkeypatch.setattr("bench.data.building.decode", lambda *_: pytest.fail("decoded again"))
    assert prepare(compose_config(words)) == folder
    assert (folder / "images.u8").stat().st_size == size


@pytest.mark.slow
@pytest.mark.parametrize("form", ["png16", "dicom-inverted"])
def test_other_forms_of_a_set_are_prepared(words, form):
    rewrite(root_of(words), form)
    assert main(words) == 0


def test_all_bad_images_missing_ones_too_are_said_together_on_standard_error(words, capsys):
    images = sorted(root_of(words).rglob("*.jpg"))
    for path in images[2:]:
        path.unlink()
    images[0].write_bytes(b"")
    images[1].write_bytes(images[1].read_bytes()[:-500])
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"bench.prepare: {len(images)} of {len(images)} images of {root_of(words)} cannot be used: ")
    assert said.count("\n") == 1
    (listed,) = root_of(words).parent.glob("cache/*/bad_images.csv")
    reasons = pd.read_csv(listed).set_index("path")["reason"].to_dict()
    short = {path.relative_to(root_of(words)).as_posix() for path in images}
    assert set(reasons) == short
    assert sorted(set(reasons.values())) == [
        "cannot be decoded: Premature end of JPEG file",
        "is empty (0 bytes)",
        "no such image",
    ]


def test_bad_images_that_are_skipped_are_counted(words, capsys):
    min(root_of(words).rglob("*.jpg")).write_bytes(b"")
    assert main([*words, "data.on_bad_image=skip"]) == 0
    assert "1 of " in capsys.readouterr().out


def test_damaged_pixels_are_found(words, capsys):
    folder = prepare(compose_config(words))
    content = bytearray((folder / "images.u8").read_bytes())
    content[1000] ^= 1
    (folder / "images.u8").write_bytes(content)
    assert main(words) == 1
    assert "the decoded pixels of 1 images" in capsys.readouterr().err


def test_a_missing_set_is_one_sentence(words, capsys):
    shutil.rmtree(root_of(words))
    assert main(words) == 2  # before anything is loaded
    assert str(root_of(words)) in capsys.readouterr().err


def test_a_wrong_key_is_refused_before_anything_is_loaded():
    code = "import sys; from bench.prepare import main; status = main(['data.rot=x'])"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; assert not {HEAVY} & set(sys.modules); sys.exit(status)"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2, ran.stderr
    assert "bench.prepare: unknown key 'data.rot'; did you mean 'data.root'?" in ran.stderr
