import os
import re
import signal
import subprocess
import sys

import pytest

from analysis import report
from analysis.page.watch import watch
from analysis.report import main
from analysis.settings import PROJECT, read_settings

QUICK = ("resamples=20", "permutations=20", "watch=true", "watch_seconds=7")


class Steps:
    """Stands in for waiting: at each wait the next thing happens. More waits than things are an error."""

    def __init__(self, *steps):
        self.steps, self.waited = list(steps), []

    def __call__(self, seconds):
        self.waited.append(seconds)
        self.steps.pop(0)()


def nothing():
    pass


def finish(store, run_id, frame):
    path = store.parquet(run_id)
    path.parent.mkdir(parents=True)
    frame.to_parquet(path, index=False)
    store.client.set_terminated(run_id, "FINISHED")


def watched(store, *steps, refresh=None):
    """What was given to refresh, and what was said."""
    given, said = [], []

    def remember(partial):
        given.append(partial)
        return "index.html"

    settings = read_settings([*store.words, *QUICK])
    code = watch(settings, refresh or remember, said.append, Steps(*steps))
    return code, given, said


def test_it_refreshes_when_runs_came_further_and_stops_when_none_goes_on(store, predictions):
    first, second = store.add("resnet18", status="RUNNING"), store.add("resnet34", status="RUNNING")
    code, given, said = watched(
        store, lambda: finish(store, first, predictions(0)), nothing, lambda: finish(store, second, predictions(1)),
        nothing,
    )  # fmt: skip
    assert code == 0
    assert [re.findall(r"\d of 2 runs finished, \d running", text) for text in given] == [
        ["0 of 2 runs finished, 2 running"],
        ["1 of 2 runs finished, 1 running"],
        ["2 of 2 runs finished, 0 running"],
        [],
    ]
    assert given[-1] == ""
    assert said[-1].endswith("2 of 2 runs finished, 0 running; no run goes on")


def test_between_two_cells_of_a_sweep_it_goes_on(store, predictions):
    store.add("resnet18")
    started = []
    code, given, _ = watched(
        store, lambda: started.append(store.add("resnet34", status="RUNNING")),
        lambda: finish(store, started[0], predictions(1)), nothing,
    )  # fmt: skip
    assert (code, len(given)) == (0, 4)
    assert all(given[:-1])


def test_a_failed_run_goes_on_no_more(store):
    store.add("resnet18")
    store.add("resnet34", status="FAILED")
    assert watched(store, nothing)[:2] == (
        0,
        ["Partial, as the experiment is being watched while it runs: 1 of 2 runs finished, 0 running.", ""],
    )


def test_nothing_yet_is_said_once_and_waited_for(store, tmp_path):
    words = [f"tracking.uri=sqlite:///{tmp_path}/none.db", *QUICK]
    said, steps = [], Steps(nothing, nothing, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        watch(read_settings(words), lambda _: pytest.fail("there is nothing to show"), said.append, steps)
    assert len(said) == 1
    assert re.search("there is no file .*none.db.*; waiting$", said[0])
    assert steps.waited == [7, 7, 7]


def test_where_no_report_can_be_made_of_what_is_left_it_ends_with_1(store, tmp_path, capsys):
    store.add("resnet18", status="FAILED")
    settings = read_settings([*store.words, *QUICK])
    assert main_watch(settings, store, tmp_path, nothing) == 1
    assert "no finished cell (1 FAILED)" in capsys.readouterr().out


def main_watch(settings, store, tmp_path, *steps):
    words = [*store.words, *QUICK, f"out={tmp_path / 'r'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "watch", lambda settings, refresh, say: watch(settings, refresh, say, Steps(*steps)))
        return main(words)


def test_the_page_and_every_table_are_partial_and_at_last_are_not(store, tmp_path, predictions):
    store.add("resnet18")
    other, seen = store.add("resnet18", False, status="RUNNING"), []

    def look():
        seen.append((tmp_path / "r" / "index.html").read_text(encoding="utf-8"))
        seen.append((tmp_path / "r" / "tables" / "auroc.md").read_text(encoding="utf-8"))
        finish(store, other, predictions(1))

    assert main_watch(None, store, tmp_path, look, nothing) == 0
    page, table = seen
    for text in (page, table):
        assert "Partial, as the experiment is being watched while it runs: 1 of 2 runs finished, 1 running." in text
        assert "resnet18-scratch-t0-s0 (RUNNING)" in text
    assert '<meta http-equiv="refresh" content="7">' in page
    assert page.count("<caption>") == page.count('<span class="partial">') + 1  # but for the runs left out
    assert page.count("Incomplete: of the finished cells alone.") == page.count('class="plot"') > 0
    last = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert "Partial, as" not in last
    assert "refresh" not in re.findall(r"<head>.*<style>", last, flags=re.DOTALL)[0]
    assert "2 finished cells" in last


@pytest.mark.parametrize("word", ["watch_seconds=0", "watch=perhaps", "watch_seconds=soon", "images=some"])
def test_wrong_values_are_refused(word, capsys):
    assert main([word]) == 2
    assert word in capsys.readouterr().err


def as_in_a_terminal():
    """A shell's background job, as the suite may be, starts its processes with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
def test_control_c_stops_it_and_leaves_the_report(store, tmp_path):
    store.add("resnet18")
    store.add("resnet34", status="RUNNING")
    command = [sys.executable, "-m", "analysis.report", *store.words, *QUICK, f"out={tmp_path / 'r'}"]
    started = {"cwd": PROJECT, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **started, preexec_fn=as_in_a_terminal)  # noqa: PLW1509  # it takes no lock
    with process:
        try:
            assert "1 of 2 runs finished, 1 running" in process.stdout.readline()
            os.kill(process.pid, signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert rest == "stopped; the report stays as it was last written\n"
    assert "Partial, as" in (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
