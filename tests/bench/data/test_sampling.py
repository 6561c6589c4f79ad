import numpy as np
import pytest

from bench.data.sampling import EvaluationSampler, TrainingSampler
from bench.errors import DataError


def sampler(images=50, **options):
    return TrainingSampler(images, **{"seed": 0, "batch_size": 8, **options})


def rows(draws):
    return [batch.rows.tolist() for batch in draws]


def joined(draws):
    return [np.concatenate(parts) for parts in zip(*draws, strict=True)]


def same(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(joined(ours), joined(theirs), strict=True))


def test_order_and_crops_are_those_of_a_plain_loop():
    rng = np.random.default_rng([7, 3])
    order, shares = rng.permutation(50), rng.random((50, 2))
    ours = sampler(seed=7)
    ours.set_epoch(3)
    seen, vertical, horizontal, flip = joined(ours)
    assert seen.tolist() == order[:48].tolist(), "the incomplete batch is dropped"
    assert (vertical.tolist(), horizontal.tolist()) == (shares[:48, 0].tolist(), shares[:48, 1].tolist())
    assert not flip.any()


def test_an_epoch_follows_from_seed_and_epoch_alone():
    ours = sampler()
    first = list(ours)
    assert same(first, list(ours))
    ours.set_epoch(1)
    assert not same(first, list(ours))
    assert not same(first, list(sampler(seed=1)))
    ours.set_epoch(0)
    assert same(first, list(ours))


def test_flips_are_half_and_change_nothing_else():
    plain, flipped = joined(sampler(2000)), joined(sampler(2000, flip=True))
    assert all(np.array_equal(a, b) for a, b in zip(plain[:3], flipped[:3], strict=True))
    assert 0.45 < flipped[3].mean() < 0.55


@pytest.mark.parametrize("batch", [0, 1, 4, 5, 6])
def test_an_epoch_goes_on_after_any_batch(batch):
    whole = list(sampler(flip=True, micro_batch=4))
    ours = sampler(flip=True, micro_batch=4)
    ours.start(0, batch)
    ours.set_epoch(0)  # as Lightning does when it resumes
    rest = list(ours)
    assert rows(rest) == rows(whole[2 * batch :])
    assert not rest or same(rest, whole[2 * batch :])
    assert len(ours) == len(whole) == 12, "the length is the whole epoch's"


def test_the_epoch_after_a_resumed_one_is_whole():
    ours, theirs = sampler(), sampler()
    ours.start(0, 4)
    for each in (ours, theirs):
        each.set_epoch(1)
    assert same(list(ours), list(theirs))


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("micro_batch", [None, 1, 2])
def test_processes_and_slices_together_make_each_batch(world, micro_batch):
    whole = list(sampler(flip=True))
    parts = [list(sampler(flip=True, rank=rank, world=world, micro_batch=micro_batch)) for rank in range(world)]
    slices = len(parts[0]) // len(whole)
    assert {batch.rows.size for part in parts for batch in part} == {micro_batch or 8 // world}
    for step, batch in enumerate(whole):
        pieces = [piece for part in parts for piece in part[step * slices : (step + 1) * slices]]
        assert same(pieces, [batch])


@pytest.mark.parametrize("wrong", [{"world": 3}, {"micro_batch": 3}, {"world": 2, "micro_batch": 8}, {"world": 16}])
def test_unequal_parts_are_refused(wrong):
    with pytest.raises(DataError, match="batch_size=8 cannot be shared equally"):
        sampler(**wrong)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_sees_every_image_once_at_the_centre(world):
    parts = [EvaluationSampler(10, batch_size=4, rank=rank, world=world) for rank in range(world)]
    assert sorted(row for part in parts for batch in rows(part) for row in batch) == list(range(10))
    assert joined(parts[0])[0].tolist() == list(range(0, 10, world))
    assert all(len(list(part)) == len(part) for part in parts)
    _, vertical, horizontal, flip = joined(parts[0])
    assert set(vertical) == set(horizontal) == {0.5}
    assert not flip.any()
