import pytest

from bench.config import compose_config
from bench.schedule import Schedule, make_schedule


def protocol(*overrides):
    return compose_config(["arch=resnet18", "protocol=paper", *overrides]).protocol


def walk(schedule, step=0):
    """The evaluations from a step on, one by one: the plain loop."""
    found = []
    while step < schedule.steps:
        step += 1
        due = range((step - 1) * schedule.batch_size + 1, step * schedule.batch_size + 1)
        if any(image % schedule.every == 0 for image in due) or step == schedule.steps:
            found.append(step)
    return found


def test_the_papers_protocol_evaluates_every_8192_images_and_at_the_end():
    schedule = make_schedule(protocol(), 218_414, probe=False)
    assert (schedule.batches, schedule.every, schedule.steps) == (13_650, 8192, 40_950)
    assert schedule.evaluations_left(0) == 80
    assert schedule.next_evaluation(0) == 512
    assert schedule.next_evaluation(40_448) == 40_950


def test_images_count_and_not_steps():
    """24 images a step do not divide 8,192: the evaluations neither drift nor come early."""
    schedule = make_schedule(protocol("protocol.batch_size=24"), 218_414, probe=False)
    at = walk(schedule)
    assert [(step - 1) * 24 < 8192 * number <= step * 24 for number, step in enumerate(at[:-1], start=1)] == [True] * 79
    assert schedule.evaluations_left(0) == len(at) == 80


@pytest.mark.parametrize("every", [3, 4, 5, 8, 9, 24, 36, 100])
@pytest.mark.parametrize("step", range(12))
def test_what_is_left_is_what_a_walk_over_the_steps_finds(every, step):
    schedule = Schedule(batch_size=3, batches=4, steps=12, every=every)
    left = walk(schedule, step)
    assert schedule.next_evaluation(step) == left[0]
    assert schedule.evaluations_left(step) == len(left)


def test_nothing_is_left_at_the_end():
    assert Schedule(2, 4, 12, 5).evaluations_left(12) == 0


def test_without_a_number_of_images_an_epoch_is_the_interval():
    schedule = make_schedule(protocol("protocol.checkpoints.every_examples=null"), 100, probe=False)
    assert (schedule.every, schedule.next_evaluation(0), schedule.steps) == (96, 6, 18)


def test_a_linear_probe_comes_on_top():
    assert make_schedule(protocol("protocol.probe_epochs=2"), 100, probe=True).steps == 5 * 6


def test_a_batch_larger_than_the_interval_is_evaluated_after_each():
    assert make_schedule(protocol("protocol.checkpoints.every_examples=3"), 100, probe=False).next_evaluation(4) == 5


def test_the_position_of_a_step():
    schedule = Schedule(2, 4, 12, 5)
    assert [schedule.position(step) for step in (0, 3, 4, 11)] == [(0, 0), (0, 3), (1, 0), (2, 3)]
