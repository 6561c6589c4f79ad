import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest

from bench.tracking import claims
from bench.tracking.claims import ClaimLostError, ClaimTakenError, Timing, acquire
from bench.tracking.server import MissingError, Server, TakenError, UnavailableError
from tests.bench.recording import EXPERIMENT, workers

QUICK = Timing(beat=0.05, lease=0.5, poll=0.02)
NEVER = Timing(beat=1000.0, lease=0.3, poll=0.02)
"""A holder that never beats: one that was stopped."""


class Names:
    """A registry in memory, as the server's: names are unique."""

    def __init__(self):
        self.held, self.away, self._lock = {}, False, threading.Lock()

    def _answer(self):
        if self.away:
            raise UnavailableError("gone")

    def create_claim(self, name, tags):
        self._answer()
        with self._lock:
            if name in self.held:
                raise TakenError(name)
            self.held[name] = dict(tags)

    def claims(self, prefix):
        self._answer()
        with self._lock:
            return {name: dict(tags) for name, tags in self.held.items() if name.startswith(prefix)}

    def mark_claim(self, name, key, value):
        self._answer()
        with self._lock:
            if name not in self.held:
                raise MissingError(name)
            self.held[name][key] = value

    def delete_claim(self, name):
        self._answer()
        with self._lock:
            self.held.pop(name, None)


@pytest.fixture
def names():
    return Names()


@pytest.fixture
def held():
    """Gives every claim back at the end."""
    with contextlib.ExitStack() as stack:

        def keep(claim):
            stack.callback(claim.release)
            return claim

        yield keep


def forge(names, name, **changes):
    """A claim of another process's."""
    owner = dataclasses.replace(claims._this_process(), **changes)
    names.held[name] = {"owner": json.dumps(dataclasses.asdict(owner)), "beat": "0"}


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_cell_that_lives_is_taken_and_after_its_end_free(names, held):
    first = acquire(names, "c1", QUICK)
    with pytest.raises(ClaimTakenError, match=f"process {os.getpid()}"):
        acquire(names, "c1", QUICK)
    held(acquire(names, "c2", QUICK))
    first.release()
    held(acquire(names, "c1", QUICK)).ensure()
    assert sorted(names.held) == ["c1-0", "c2-0"]


def test_a_cell_whose_name_begins_like_another_s_is_another(names, held):
    held(acquire(names, "c1", QUICK))
    held(acquire(names, "c", QUICK)).ensure()


def test_a_silent_holder_loses_its_cell_and_hears_of_it(names, held):
    silent = held(acquire(names, "c1", NEVER))
    fresh = held(acquire(names, "c1", dataclasses.replace(NEVER, lease=0.3)))
    fresh.ensure()
    with pytest.raises(ClaimLostError, match="went to another worker"):
        silent.ensure()
    with pytest.raises(ClaimLostError):
        silent.check()
    silent.release()
    fresh.ensure()
    assert list(names.held) == ["c1-1"] or sorted(names.held) == ["c1-0", "c1-1"]
    fresh.release()
    assert names.held == {}


def test_a_holder_that_was_silent_and_finds_its_claim_gone_has_lost_it(names, held):
    silent = held(acquire(names, "c1", NEVER))
    until(lambda: time.monotonic() - silent._heard > NEVER.lease)
    names.held.clear()
    held(acquire(names, "c1", NEVER))
    with pytest.raises(ClaimLostError):
        silent.ensure()


def test_a_dead_process_of_this_machine_frees_its_cell_at_once(names, held):
    dead = subprocess.Popen(["true"])
    born = claims._born(dead.pid) or "1"
    dead.wait()
    forge(names, "c1-0", pid=dead.pid, born=born, token="x")
    started = time.monotonic()
    held(acquire(names, "c1", Timing(lease=30, poll=1)))
    assert time.monotonic() - started < 1


def test_a_pid_that_was_given_again_is_no_holder(names, held):
    forge(names, "c1-0", born="1", token="x")
    started = time.monotonic()
    held(acquire(names, "c1", Timing(lease=30, poll=1)))
    assert time.monotonic() - started < 1


def test_the_claims_of_dead_processes_of_this_machine_are_given_back_and_no_others(names, held):
    held(acquire(names, "living", QUICK))
    forge(names, "dead-3", born="1", token="x")
    forge(names, "elsewhere-0", machine="another", born="1", token="y")
    claims.bury(names)
    assert sorted(names.held) == ["elsewhere-0", "living-0"]


def test_a_process_of_another_machine_is_believed_for_a_lease(names, held):
    forge(names, "c1-0", machine="another", born="1", token="x")
    started = time.monotonic()
    held(acquire(names, "c1", QUICK))
    assert time.monotonic() - started >= QUICK.lease


def test_a_sleep_of_the_one_who_looks_is_no_silence_of_the_holder(names, held, monkeypatch):
    forge(names, "c1-0", machine="another", token="x")
    clock, looks = [0.0], []
    monkeypatch.setattr(claims.time, "sleep", lambda _: looks.append(1))

    def jump():
        clock[0] += 1000.0
        return clock[0]

    monkeypatch.setattr(claims.time, "monotonic", jump)
    held(acquire(names, "c1", Timing(beat=1000, lease=60, poll=2)))
    assert len(looks) == 60 / (2 * 2)


def test_a_server_that_is_away_takes_no_cell_from_its_holder(names, held):
    claim = held(acquire(names, "c1", NEVER))
    names.away = True
    until(lambda: time.monotonic() - claim._heard > NEVER.lease)
    claim.ensure()
    with pytest.raises(UnavailableError):
        acquire(names, "c1", NEVER)
    names.away = False
    claim.ensure()


def test_a_claim_that_could_not_be_given_back_does_not_block_its_own_process(names, held):
    claim = acquire(names, "c1", Timing(lease=30, poll=1))
    names.away = True
    claim.release()
    names.away = False
    started = time.monotonic()
    held(acquire(names, "c1", Timing(lease=30, poll=1)))
    assert time.monotonic() - started < 1


def test_of_two_that_saw_the_same_death_one_gets_the_cell(names, held):
    forge(names, "c1-0", born="1", token="x")
    gate, results = threading.Barrier(8), []

    def race():
        gate.wait()
        try:
            results.append(held(acquire(names, "c1", QUICK)))
        except ClaimTakenError:
            results.append(None)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(result is not None for result in results) == 1


def test_a_newcomer_that_was_there_before_the_heir_keeps_the_cell(names, held):
    """Seen dead, then ended after all, then begun anew by somebody else: the heir steps back."""
    forge(names, "c1-0", born="1", token="x")
    create = names.create_claim

    def late(name, tags):
        forge(names, "c1-0", token="newcomer")
        create(name, tags)

    names.create_claim = late
    with pytest.raises(ClaimTakenError, match="a moment ago"):
        acquire(names, "c1", QUICK)
    assert list(names.held) == ["c1-0"]


def test_an_answer_that_was_lost_on_the_way_does_not_make_the_own_claim_another_s(names, held):
    create = names.create_claim

    def twice(name, tags):
        create(name, tags)
        create(name, tags)  # as a client that retries

    names.create_claim = twice
    held(acquire(names, "c1", QUICK)).ensure()


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    Server(uri, EXPERIMENT)
    return uri


@pytest.mark.slow
def test_a_real_store_keeps_claims_as_this_module_needs_them(uri, held):
    server = Server(uri, EXPERIMENT)
    server.create_claim("c-0", {"owner": "me", "beat": "0"})
    with pytest.raises(TakenError):
        server.create_claim("c-0", {"owner": "you"})
    server.mark_claim("c-0", "beat", "1")
    assert server.claims("c-") == {"c-0": {"owner": "me", "beat": "1"}}
    assert server.claims("d-") == {}
    server.delete_claim("c-0")
    server.delete_claim("c-0")
    with pytest.raises(MissingError):
        server.mark_claim("c-0", "beat", "2")


@pytest.mark.slow
def test_of_eight_processes_that_race_for_a_cell_one_gets_it_again_and_again(uri, tmp_path):
    with workers(8, uri, tmp_path, "fast") as racing:
        for number in range(5):
            for worker in racing:
                worker.say(f"open race{number}")
            heard = [worker.hear().split()[0] for worker in racing]
            assert Counter(heard) == {"got": 1, "taken": 7}
            assert racing[heard.index("got")].ask("end") == "finished"


@pytest.mark.slow
def test_a_killed_holder_frees_its_cell_and_the_next_one_goes_on_in_its_run(uri, tmp_path):
    with workers(2, uri, tmp_path, "fast") as (first, second):
        assert first.ask("open killed") == "got"
        assert first.ask("metric loss 3 1") == "done"
        assert second.ask("open killed").startswith("taken")
        first.signal(signal.SIGKILL)
        first.process.wait()
        assert second.ask("open killed") == "got"
        assert second.ask("end") == "finished"
    (run,) = Server(uri, EXPERIMENT).runs("killed")
    assert (run.status, run.metrics) == ("FINISHED", {"loss": 3.0})


@pytest.mark.slow
def test_a_holder_that_was_stopped_past_its_lease_loses_and_records_nothing(uri, tmp_path):
    with workers(2, uri, tmp_path, "fast") as (first, second):
        assert first.ask("open stopped") == "got"
        first.signal(signal.SIGSTOP)
        assert second.ask("open stopped") == "got"
        first.signal(signal.SIGCONT)
        first.say("metric loss 99 1")
        heard = first.hear()
        if heard == "done":  # it was faster than its claim's thread; what it wrote stays on its machine
            heard = first.ask("end")
        assert heard == "lost"
        assert second.ask("metric loss 2 1") == "done"
        assert second.ask("end") == "finished"
    (run,) = Server(uri, EXPERIMENT).runs("stopped")
    assert (run.status, run.metrics) == ("FINISHED", {"loss": 2.0})
