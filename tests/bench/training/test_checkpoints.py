import itertools
import math

import numpy as np
import pytest
import torch
from safetensors import safe_open

from bench.config import compose_config
from bench.training.checkpoints import Best, checkpoint_path, combine, make_best, mean_state, write_checkpoint

NAN = float("nan")


def config(*overrides):
    return compose_config(["arch=resnet18", *overrides]).protocol.checkpoints


@pytest.mark.parametrize("values", list(itertools.permutations([0.5, 0.6, 0.7, 0.7, 0.8])))
def test_the_best_few_count_whatever_the_order(values):
    best = Best(3, ("valid/auroc",))
    for step, value in enumerate(values, start=1):
        best.add(step, {"valid/auroc": value, "valid/loss": 9})
    every = sorted(enumerate(values, start=1), key=lambda item: (-item[1], item[0]))  # the plain way
    assert best.steps("valid/auroc") == tuple(step for step, _ in every[:3])
    assert {step for step, _ in best.seen} == set(best.steps("valid/auroc"))


def test_what_drops_out_is_said():
    best = Best(2, ("valid/auroc",))
    assert best.add(1, {"valid/auroc": 0.6}) == set()
    assert best.add(2, {"valid/auroc": 0.5}) == set()
    assert best.add(3, {"valid/auroc": 0.7}) == {2}
    assert best.add(4, {"valid/auroc": 0.1}) == {4}


def test_an_undefined_value_never_counts():
    best = Best(2, ("valid/auroc",))
    assert best.add(1, {"valid/auroc": NAN}) == {1}
    best.add(2, {"valid/auroc": 0.5})
    assert best.steps("valid/auroc") == (2,)


def test_per_task_a_state_stays_that_is_best_for_any():
    best = make_best(config("protocol.checkpoints.average=task"), ("edema", "atelectasis"))
    assert best.criteria == ("valid/auroc/edema", "valid/auroc/atelectasis")
    best.add(1, {"valid/auroc/edema": 0.9, "valid/auroc/atelectasis": 0.5})
    best.add(2, {"valid/auroc/edema": 0.8, "valid/auroc/atelectasis": 0.7})
    assert best.add(3, {"valid/auroc/edema": 0.7, "valid/auroc/atelectasis": 0.8}) == {2}
    assert {step for step, _ in best.seen} == {1, 3}


def test_the_papers_rule_is_the_best_ten_by_mean_auroc():
    best = make_best(compose_config(["protocol=paper"]).protocol.checkpoints, ("edema",))
    assert (best.keep, best.criteria) == (10, ("valid/auroc",))


def scores(rng, steps):
    return {step: rng.random((7, 3)) for step in steps}


def test_probability_is_the_mean_of_probabilities():
    best, found = Best(2, ("valid/auroc",)), scores(np.random.default_rng(0), (1, 2, 5))
    expected = np.array([[(found[1][i, t] + found[2][i, t] + found[5][i, t]) / 3 for t in range(3)] for i in range(7)])
    assert combine(best, found, ("a", "b", "c"), "probability") == pytest.approx(expected, abs=1e-15)


def test_task_takes_each_tasks_own_states():
    best = Best(1, ("valid/auroc/a", "valid/auroc/b"))
    best.add(1, {"valid/auroc/a": 0.9, "valid/auroc/b": 0.1})
    best.add(2, {"valid/auroc/a": 0.2, "valid/auroc/b": 0.8})
    found = scores(np.random.default_rng(1), (1, 2))
    given = combine(best, found, ("a", "b", "unscored"), "task")
    assert np.array_equal(given[:, 0], found[1][:, 0])
    assert np.array_equal(given[:, 1], found[2][:, 1])
    assert np.array_equal(given[:, 2], (found[1][:, 2] + found[2][:, 2]) / 2)


@pytest.mark.parametrize("average", ["probability", "task"])
def test_without_a_state_there_is_no_prediction(average):
    with pytest.raises(ValueError, match="no checkpoint"):
        combine(Best(1, ("valid/auroc",)), {}, ("a",), average)


def test_a_checkpoint_is_a_safetensors_file_that_says_what_it_is(tmp_path):
    network = torch.nn.Linear(2, 1)
    write_checkpoint(tmp_path, 12, network.state_dict(), {"valid/auroc": "0.75"})
    with safe_open(checkpoint_path(tmp_path, 12), framework="pt") as file:
        assert file.metadata() == {"valid/auroc": "0.75"}
        assert torch.equal(file.get_tensor("weight"), network.weight)


def test_the_mean_of_weights_is_that_and_counters_are_the_largest(tmp_path):
    values = [0.1, 0.2, 0.7]
    for step, value in enumerate(values):
        state = {"weight": torch.full((3,), value), "count": torch.tensor(step)}
        write_checkpoint(tmp_path, step, state, {})
    mean = mean_state(checkpoint_path(tmp_path, step) for step in range(3))
    assert mean["weight"].dtype == torch.float32
    assert mean["weight"].tolist() == pytest.approx([math.fsum(values) / 3] * 3, abs=1e-7)
    assert int(mean["count"]) == 2
