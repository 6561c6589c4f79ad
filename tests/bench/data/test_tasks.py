import pytest

from bench.data.tasks import ALL_TASKS, COMPETITION_TASKS, choose, near
from bench.errors import DataError


def test_a_word_or_a_list_chooses():
    assert choose("data.tasks", "all", ("cough", "edema")) == ("cough", "edema")
    assert choose("data.tasks", "competition", ALL_TASKS) == COMPETITION_TASKS
    assert choose("data.tasks", ["edema", "atelectasis"], ALL_TASKS) == ("edema", "atelectasis")


def test_an_unknown_name_is_refused_with_the_nearest_and_all_valid_ones():
    with pytest.raises(
        DataError, match=r"data.tasks=\[oedema\]: no task oedema \(did you mean edema\?\); valid: all, or"
    ):
        choose("data.tasks", ["oedema"], ALL_TASKS)


def test_the_competition_is_refused_where_the_set_lacks_a_task_of_it():
    with pytest.raises(DataError, match="data.tasks=competition: no task atelectasis, cardiomegaly, .* list of edema"):
        choose("data.tasks", "competition", ("edema",))


def test_a_task_named_twice_is_refused():
    with pytest.raises(DataError, match="a task is named twice"):
        choose("data.tasks", ["edema", "edema"], ALL_TASKS)


def test_nothing_is_near_to_what_is_like_nothing():
    assert near("xyzzy", ALL_TASKS) == "xyzzy"
