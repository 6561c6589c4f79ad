import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from PIL import Image

from bench.data import building, store
from bench.data.cache import cache_folder, open_cache
from bench.data.decode import decode
from bench.errors import DataError, StorageError
from tests.bench.data.files import FAULTS

SIDE = 48


@pytest.fixture
def root(tmp_path):
    """Forty small pictures of several sizes."""
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(40):
        shape = [(64, 78), (80, 64), (64, 64)][number % 3]
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(folder / f"{number}.jpg")
    return folder


def frame(numbers=range(40)):
    return pd.DataFrame({"path": [f"{n}.jpg" for n in numbers], "csv": "all.csv", "row": [n + 2 for n in numbers]})


def opened(root, numbers=range(40), **options):
    given = {"shorter_side": SIDE, "folder": root.parent / "cache", "on_bad": "raise", "progress": False, **options}
    return open_cache(root, {"train": frame(numbers)}, **given)


def assert_holds(cache, root, numbers=range(40)):
    for number in numbers:
        held = cache.pixels(int(cache.positions([f"{number}.jpg"])[0]))
        np.testing.assert_array_equal(held, decode(root / f"{number}.jpg", SIDE))


def decoded(monkeypatch):
    """The paths that are decoded from now on."""
    seen = []
    real = building.decode
    monkeypatch.setattr(building, "decode", lambda path, side: (seen.append(path.name), real(path, side))[1])
    return seen


def test_every_image_is_held_as_it_is_decoded(root):
    assert_holds(opened(root), root)


def test_processes_hold_the_same_as_one(root, monkeypatch):
    monkeypatch.setattr(building, "ALONE", 0)
    monkeypatch.setattr(building, "CHUNK", 7)
    cache = opened(root, processes=2)
    assert len(cache) == 40
    assert_holds(cache, root)


def test_an_opened_cache_decodes_nothing_again(root, monkeypatch):
    opened(root)
    seen = decoded(monkeypatch)
    assert_holds(opened(root), root)
    assert seen == []


def test_a_part_of_a_set_decodes_what_it_needs_and_shares_it(root, monkeypatch):
    seen = decoded(monkeypatch)
    first = opened(root, range(5))
    assert sorted(seen) == sorted(f"{n}.jpg" for n in range(5))
    with pytest.raises(DataError, match="does not hold 1 of 2 images, 9.jpg for one"):
        first.positions(["1.jpg", "9.jpg"])
    second = opened(root, range(3, 9))
    assert sorted(seen[5:]) == ["5.jpg", "6.jpg", "7.jpg", "8.jpg"]
    assert first.folder == second.folder
    assert_holds(first, root, range(5))
    assert_holds(second, root, range(3, 9))


def test_an_image_that_was_replaced_is_decoded_anew(root, monkeypatch):
    opened(root)
    before = (root / "3.jpg").stat()
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1))).save(root / "3.jpg")
    os.utime(root / "4.jpg", ns=(before.st_atime_ns, (root / "4.jpg").stat().st_mtime_ns + 1))
    seen = decoded(monkeypatch)
    assert_holds(opened(root), root)
    assert sorted(seen[:2]) == ["3.jpg", "4.jpg"]


def test_an_image_that_vanished_is_missed(root):
    opened(root)
    (root / "7.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 40 images .* 7.jpg \(row 9 of all.csv\) no such image"):
        opened(root)


def test_another_size_root_or_decoder_is_another_cache(root, monkeypatch):
    folders = {cache_folder(root, side, Path("cache")) for side in (48, 64)}
    folders.add(cache_folder(root.parent / "other" / root.name, 48, Path("cache")))
    monkeypatch.setattr("bench.data.cache.DECODER_VERSION", 99)
    folders.add(cache_folder(root, 48, Path("cache")))
    assert len(folders) == 4


def test_a_link_to_the_root_shares_its_cache(root):
    link = root.parent / "link"
    link.symlink_to(root)
    assert opened(link).folder == opened(root).folder


def test_all_bad_images_are_reported_together(root):
    for number, (spoil, _) in enumerate(FAULTS.values()):
        spoil(root / f"{number}.jpg")
    frames = {"train": frame(range(6)), "test": frame(range(6, 40))}
    with pytest.raises(DataError) as caught:
        open_cache(root, frames, shorter_side=SIDE, folder=root.parent / "cache", on_bad="raise", progress=False)
    message = str(caught.value)
    assert message.startswith(
        f"{len(FAULTS)} of 40 images of {root} cannot be used: 0.jpg (row 2 of all.csv) no such image;"
    )
    assert message.count(" of all.csv)") == 5
    assert f"and {len(FAULTS) - 5} more" in message
    assert "data.on_bad_image=skip" in message
    listed = pd.read_csv(cache_folder(root, SIDE, root.parent / "cache") / "bad_images.csv")
    assert listed["path"].tolist() == [f"{n}.jpg" for n in range(len(FAULTS))]
    assert listed["row"].tolist() == [n + 2 for n in range(len(FAULTS))]
    assert listed["split"].tolist() == ["train"] * 6 + ["test"] * (len(FAULTS) - 6)
    assert all(words in reason for (_, words), reason in zip(FAULTS.values(), listed["reason"], strict=True))


def test_skipped_images_are_returned_announced_and_the_rest_served(root):
    (root / "2.jpg").write_bytes(b"")
    said = []
    cache = opened(root, on_bad="skip", announce=said.append)
    assert [(bad.split, bad.path, bad.csv, bad.row, bad.reason) for bad in cache.bad] == [
        ("train", "2.jpg", "all.csv", 4, "is empty (0 bytes)")
    ]
    assert len(said) == 1
    assert "1 of 40 images" in said[0]
    assert cache.usable(frame()).tolist() == [n != 2 for n in range(40)]
    assert_holds(cache, root, [n for n in range(40) if n != 2])
    with pytest.raises(DataError, match="2.jpg"):
        cache.positions(["2.jpg"])


def test_a_chunk_without_a_usable_image_leaves_no_line(root, monkeypatch):
    monkeypatch.setattr(building, "CHUNK", 1)
    (root / "2.jpg").write_bytes(b"")
    cache = opened(root, on_bad="skip")
    assert (cache.folder / "journal.jsonl").read_bytes().count(b"\n") == 39


def test_an_image_that_was_mended_is_taken(root):
    whole = (root / "2.jpg").read_bytes()
    (root / "2.jpg").write_bytes(b"")
    assert len(opened(root, on_bad="skip").bad) == 1
    (root / "2.jpg").write_bytes(whole)
    assert_holds(opened(root), root)


# ---- interruptions ----------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from bench.data import building, store
from tests.bench.data import test_cache
building.CHUNK = 4
calls, real = 0, {function}
def count(*arguments, **options):
    global calls
    calls += 1
    if calls == {after}:
        {half}
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
{function} = count
test_cache.opened(Path(sys.argv[1]))
"""
TORN = "os.pwrite(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2], arguments[2])"


@pytest.mark.parametrize(
    ("function", "half", "after"),
    [
        ("building.decode", "pass", 17),
        ("os.pwrite", TORN, 12),  # in the middle of an image; each chunk is four, and a line of the journal
        ("os.pwrite", TORN, 15),  # in the middle of a line of the journal
        ("os.fdatasync", "pass", 4),
        ("os.ftruncate", "pass", 8),
    ],
)
def test_a_build_that_is_killed_goes_on_where_it_was(root, monkeypatch, function, half, after):
    half = half.replace("os.pwrite", "real")
    code = KILLED.format(function=function, half=half, after=after)
    killed = subprocess.run([sys.executable, "-c", code, str(root)], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -9
    seen = decoded(monkeypatch)
    cache = opened(root)
    assert len(seen) < 40, "finished chunks are not decoded again"
    assert len(seen) >= 20
    assert_holds(cache, root)
    cache.verify()
    assert_holds(opened(root), root)


def children(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


PARALLEL = """
import sys
from pathlib import Path
from bench.data import building
from tests.bench.data import test_cache
building.ALONE, building.CHUNK = 0, 1
if __name__ == "__main__":
    test_cache.opened(Path(sys.argv[1]), processes=2)
"""


@pytest.mark.slow
def test_processes_of_a_killed_build_end_with_it(root, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(40):  # large enough that the build lasts
        Image.fromarray(rng.integers(0, 256, (2000, 2000), np.uint8)).save(root / f"{number}.jpg")
    script = tmp_path / "build.py"
    script.write_text(PARALLEL)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    builder = subprocess.Popen([sys.executable, str(script), str(root)], env=environment)
    journal = cache_folder(root, SIDE, root.parent / "cache") / "journal.jsonl"
    until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 3)
    workers = children(builder.pid)
    assert len(workers) >= 2
    builder.kill()
    builder.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    cache = opened(root)
    cache.verify()
    assert_holds(cache, root, range(5))


def test_a_second_process_waits_and_finds_it_done(root, monkeypatch):
    said, opened_caches = [], []
    place = cache_folder(root, SIDE, root.parent / "cache")
    place.mkdir(parents=True)
    seen = decoded(monkeypatch)
    with FileLock(place / "lock"):
        second = threading.Thread(target=lambda: opened_caches.append(opened(root, announce=said.append)))
        second.start()
        until(lambda: said)
        assert "another process decodes" in said[0]
        assert seen == []
        assert not opened_caches
        elsewhere = opened(root, folder=root.parent / "elsewhere")  # what the first process would have written
        for name in ("images.u8", "journal.jsonl"):
            shutil.copy(elsewhere.folder / name, place / name)
        seen.clear()
    second.join()
    assert seen == [], "all is done when the lock is given back"
    assert_holds(opened_caches[0], root)


def test_two_processes_that_start_at_once_build_one_cache(root):
    code = "from pathlib import Path; from tests.bench.data import test_cache as tests"
    command = [sys.executable, "-c", f"{code}; tests.opened(Path({str(root)!r}))"]
    both = [subprocess.Popen(command, cwd=Path(__file__).parents[3]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    cache = opened(root)
    assert cache.bytes == sum(decode(root / f"{n}.jpg", SIDE).size for n in range(40)), "nothing was written twice"
    assert_holds(cache, root)


@pytest.mark.parametrize("limit", [10_000, 30_000, 100_000])
def test_a_full_disk_is_said_in_a_sentence_and_loses_nothing(root, monkeypatch, limit):
    monkeypatch.setattr(building, "CHUNK", 4)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(StorageError, match=r"File too large; the .* GB .* are kept: make room.* data.cache=DIR"):
            opened(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    sizes = np.cumsum([decode(root / f"{n}.jpg", SIDE).size for n in range(40)])[3::4]
    seen = decoded(monkeypatch)
    assert_holds(opened(root), root)
    assert len(seen) == 40 - 4 * (sizes <= limit).sum(), "whole chunks below the limit are kept"


def test_no_space_left_is_the_same_sentence(root, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.os, "pwrite", full)
    with pytest.raises(StorageError, match="No space left on device; the 0.00 GB"):
        opened(root)


def test_a_cache_that_cannot_be_written_is_refused(root):
    (root.parent / "file").write_text("")
    with pytest.raises(StorageError, match="data.cache=.*file: .*; name another folder"):
        opened(root, folder=root.parent / "file")


# ---- checks before use ------------------------------------------------------------------------------------------


def test_pixels_that_were_cut_off_are_refused(root):
    cache = opened(root)
    os.truncate(cache.folder / "images.u8", cache.bytes - 1)
    with pytest.raises(StorageError, match="images.u8 holds .* it was cut short; remove"):
        opened(root)


def test_a_changed_byte_fails_verification(root):
    cache = opened(root)
    cache.verify()
    with (cache.folder / "images.u8").open("r+b") as file:
        file.seek(cache.bytes // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(StorageError, match="the decoded pixels of 1 images"):
        cache.verify()


def test_a_broken_line_and_what_follows_counts_for_nothing(root, monkeypatch):
    monkeypatch.setattr(building, "CHUNK", 10)
    cache = opened(root)
    journal = cache.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    journal.write_bytes(lines[0] + b"\0" * len(lines[1]) + b"\n" + lines[2] + lines[3])
    seen = decoded(monkeypatch)
    cache = opened(root)
    assert len(seen) == 30
    assert_holds(cache, root)
    cache.verify()


def test_a_line_that_lacks_its_end_alone_is_written_again(root, monkeypatch):
    journal = opened(root).folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-1])
    seen = decoded(monkeypatch)
    assert_holds(opened(root), root)
    assert len(seen) == 40
    assert_holds(opened(root), root)
    assert len(seen) == 40, "the journal is whole again"


# ---- cuts -------------------------------------------------------------------------------------------------------


def test_crops_lie_where_the_draws_say(root):
    cache = opened(root)
    rng = np.random.default_rng(1)
    paths = [f"{n}.jpg" for n in rng.permutation(40)]
    vertical, horizontal = rng.random(40), rng.random(40)
    vertical[:3], horizontal[:3] = (0, 1, 0.5), (1, 0, 0.5)
    for crop in (20, SIDE):
        cuts = cache.crops(cache.positions(paths), vertical, horizontal, crop)
        assert (cuts.shape, cuts.dtype) == ((40, 1, crop, crop), np.uint8)
        for i, path in enumerate(paths):
            whole = decode(root / path, SIDE)
            top = round(vertical[i] * (whole.shape[0] - crop))
            left = round(horizontal[i] * (whole.shape[1] - crop))
            np.testing.assert_array_equal(cuts[i, 0], whole[top : top + crop, left : left + crop])


def test_squares_of_one_size_are_gathered_as_they_are_cut(root):
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 64), np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.jpg")
        if number == 20:
            opened(root, range(10))
    order, half = np.random.default_rng(1).permutation(40), np.full(40, 0.5)
    for chosen in (range(40), range(10)):
        cache = opened(root, chosen)
        assert cache._side == SIDE
        paths = [f"{n}.jpg" for n in order if n in chosen]
        cuts = cache.crops(cache.positions(paths), half[: len(paths)], half[: len(paths)], SIDE)
        for cut, path in zip(cuts, paths, strict=True):
            np.testing.assert_array_equal(cut[0], decode(root / path, SIDE))


def test_squares_that_lie_off_the_grid_are_cut_one_by_one(root):
    opened(root, [1])  # no square, at the beginning of the file
    squares = range(2, 40, 3)
    cache, half = opened(root, squares), np.full(13, 0.5)
    assert cache._side == 1
    cuts = cache.crops(cache.positions([f"{n}.jpg" for n in squares]), half, half, SIDE)
    for cut, number in zip(cuts, squares, strict=True):
        np.testing.assert_array_equal(cut[0], decode(root / f"{number}.jpg", SIDE))


def test_crops_are_written_where_they_are_wanted(root):
    cache, out = opened(root), np.zeros((2, 1, 32, 32), np.uint8)
    where = (cache.positions(["1.jpg", "2.jpg"]), np.zeros(2), np.zeros(2), 32)
    assert cache.crops(*where, out=out) is out
    np.testing.assert_array_equal(out, cache.crops(*where))
