import doctest

from bench.paths import PROJECT


def test_the_tutorial_gives_what_it_prints():
    outcome = doctest.testfile(str(PROJECT / "docs" / "statistics.md"), module_relative=False)
    assert outcome.attempted > 20
    assert outcome.failed == 0
