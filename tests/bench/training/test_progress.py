import math

import pytest

from bench.training import progress
from bench.training.progress import Startup, Stopwatch


@pytest.fixture
def watch(monkeypatch):
    """A stopwatch, and how to let time pass."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])

    def wait(seconds):
        now[0] += seconds

    return Stopwatch(), wait


def test_the_rate_of_training_counts_neither_the_start_nor_its_first_step(watch):
    stopwatch, wait = watch
    stopwatch.start()
    startup = Startup(stopwatch, 2)
    wait(60.0)  # to compile
    for index in range(8):  # 4 steps of two micro-batches, a second each
        wait(0.5)
        startup.after_batch(None, None, index)
    with stopwatch.on("evaluation"):
        wait(10.0)
    stopwatch.lap()
    found = stopwatch.metrics(4 * 16, 16)
    assert found["start_seconds"] == 61.0
    assert found["train/images_per_second"] == 16.0
    assert found["fit_seconds"] == 74.0
    assert found["overhead_share"] == pytest.approx(10 / 74)


def test_a_fit_that_goes_on_starts_again(watch):
    stopwatch, wait = watch
    startup = Startup(stopwatch, 1)
    for _ in range(2):
        stopwatch.start()
        wait(5.0)
        startup.after_batch(None, None, 0)
        wait(2.0)
        startup.after_batch(None, None, 1)
        stopwatch.lap()
        state = stopwatch.state()
        stopwatch.restore(state)
    assert stopwatch.metrics(4 * 10, 10)["train/images_per_second"] == 5.0


def test_a_state_of_an_earlier_version_knows_no_start(watch):
    stopwatch, _ = watch
    stopwatch.restore({"fit": 8.0, "evaluation": 2.0, "bookkeeping": 1.0})
    assert stopwatch.metrics(50, 10)["train/images_per_second"] == 10.0


def test_a_training_of_one_step_has_no_rate(watch):
    stopwatch, wait = watch
    stopwatch.start()
    wait(1.0)
    Startup(stopwatch, 1).after_batch(None, None, 0)
    stopwatch.lap()
    assert math.isnan(stopwatch.metrics(16, 16)["train/images_per_second"])
