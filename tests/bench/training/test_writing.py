import threading

import pytest

from bench.training.writing import writing

SECONDS = 30.0
"""For which a thread may let itself be waited for."""


def test_the_training_goes_on_while_it_writes():
    go, done = threading.Event(), []
    with writing() as writer:
        writer.submit(lambda: done.append(go.wait(SECONDS)))
        assert not done
        go.set()
    assert done == [True]


def test_pieces_are_written_one_at_a_time_in_order():
    done = []
    with writing() as writer:
        for number in range(20):
            writer.submit(lambda number=number: done.append(number))
            assert len(done) >= number, "the one before it was waited for"
    assert done == list(range(20))


def test_after_a_piece_that_failed_none_follows():
    done = []

    def fail():
        raise OSError("full")

    with writing() as writer:
        writer.submit(fail)
        with pytest.raises(OSError, match="full"):
            writer.submit(lambda: done.append("after"))
    assert not done


def test_the_last_piece_that_failed_is_said():
    def fail():
        raise OSError("full")

    with pytest.raises(OSError, match="full"), writing() as writer:
        writer.submit(fail)


def test_what_was_given_is_written_where_the_training_breaks():
    go, done = threading.Event(), []

    def train():
        with writing() as writer:
            writer.submit(lambda: done.append(go.wait(SECONDS)))
            go.set()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        train()
    assert done == [True]
