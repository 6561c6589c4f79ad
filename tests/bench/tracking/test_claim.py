import contextlib
import dataclasses
import json
import random
import signal
import threading
import time
from collections import Counter

import mlflow
import pytest

from bench.tracking import claim as module
from bench.tracking.claim import CLAIM, HOLDER_TAG, Claim, ClaimLostError, SupersededError, Timing, read, rivals
from bench.tracking.server import MissingError, Server, UnavailableError
from bench.tracking.spool import ClaimTakenError, Run, Spool
from bench.tracking.store import Store
from bench.tracking.upload import upload
from tests.bench.recording import EXPERIMENT, workers

QUICK = Timing(beat=0.05, lease=0.5, poll=0.02)
NEVER = Timing(beat=1000.0, lease=0.3, poll=0.02)
"""A holder that never beats: one that was stopped."""
SLOW = Timing(beat=1000.0, lease=30.0, poll=1.0)
AT_ONCE = 5.0
"""Seconds, of a busy machine; far less than SLOW's lease."""


class Runs:
    """A tracking server in memory: every request is whole, and seen by every later one."""

    def __init__(self, pause=lambda: None):
        self.held, self.away, self._lock, self._pause = {}, False, threading.Lock(), pause

    @contextlib.contextmanager
    def _answer(self):
        self._pause()
        if self.away:
            raise UnavailableError("gone")
        with self._lock:
            yield
        self._pause()

    def runs(self, cell):
        with self._answer():
            return [run for run in reversed(self.held.values()) if run.tags.get("cell") == cell]

    def run(self, run_id):
        with self._answer():
            if run_id not in self.held:
                raise MissingError(run_id)
            return self.held[run_id]

    def create_run(self, _, tags, started):
        with self._answer():
            run = Run(f"r{len(self.held)}-{random.random()}", "RUNNING", started, dict(tags), {}, {})
            self.held[run.id] = run
            return run.id

    def _change(self, run_id, **changes):
        if run_id not in self.held:
            raise MissingError(run_id)
        self.held[run_id] = dataclasses.replace(self.held[run_id], **changes)

    def log(self, run_id, tags):
        with self._answer():
            self._change(run_id, tags={**self.held[run_id].tags, **tags} if run_id in self.held else {})

    def untag(self, run_id, key):
        with self._answer():
            if run_id not in self.held or key not in self.held[run_id].tags:
                raise MissingError(key)
            self._change(run_id, tags={k: v for k, v in self.held[run_id].tags.items() if k != key})

    def end(self, run_id, status):
        with self._answer():
            self._change(run_id, status=status)

    def remove(self, run_id, tag="cell"):
        assert tag == "cell"
        with self._answer():
            del self.held[run_id]


@pytest.fixture
def server():
    return Runs()


@pytest.fixture
def claim(tmp_path):
    """Makes a claim of an attempt of its own; every claim is given back at the end."""
    with contextlib.ExitStack() as stack:

        def make(server, cell="c1", timing=QUICK, place=None, spool=None):
            spool = spool or Spool.create(tmp_path / cell, cell=cell, experiment="e", name="n", tags={}, params={})
            made = Claim(server, spool, place or spool.id, timing)
            stack.callback(made.release)
            return made

        yield make


@pytest.fixture
def holder(claim):
    """Makes a claim that has its cell."""

    def make(*given, **named):
        made = claim(*given, **named)
        made.acquire()
        return made

    return make


def forge(server, status="RUNNING", **tags):
    """A run of another worker's."""
    run_id = server.create_run("n", {"cell": "c1", **tags}, 0)
    server.end(run_id, status)
    return run_id


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def silence(one):
    """Ends a holder's beats without a word: it died, or was stopped."""
    one._stop.set()
    one._thread.join()


def test_a_cell_that_lives_is_taken_and_after_its_end_free(server, holder, claim):
    first = holder(server)
    holder(server, "c2")
    with pytest.raises(ClaimTakenError, match="is being trained by process"):
        claim(server).acquire()
    first.release()
    second = holder(server)
    second.ensure()
    assert second.run_id == first.run_id
    assert len(server.held) == 2


def test_a_silent_holder_loses_its_cell_and_hears_of_it(server, holder):
    silent = holder(server, timing=NEVER)
    fresh = holder(server)
    with pytest.raises(ClaimLostError, match="went to another worker"):
        silent.confirm()
    with pytest.raises(ClaimLostError):
        silent.check()
    silent.release()
    fresh.confirm()
    assert [one.holds for one in rivals(server.runs(cell="c1"))] == [True]
    fresh.release()
    assert not any(key.startswith(CLAIM) for key in server.run(fresh.run_id).tags)


def test_a_holder_asks_before_it_records_where_it_was_silent(server, holder):
    silent = holder(server, timing=NEVER)
    holder(server)
    until(lambda: time.monotonic() - silent._heard > NEVER.lease / 2)
    with pytest.raises(ClaimLostError):
        silent.ensure()


def test_a_holder_whose_tag_is_gone_has_lost_the_cell(server, holder):
    silent = holder(server, timing=NEVER)
    server.untag(silent.run_id, silent._tag)
    with pytest.raises(ClaimLostError):
        silent.confirm()


def test_who_held_the_lock_that_is_held_now_is_dead_at_once(server, holder):
    dead = holder(server, timing=SLOW, place="lock")
    started = time.monotonic()
    heir = holder(server, timing=SLOW, place="lock")
    assert time.monotonic() - started < AT_ONCE
    assert heir.run_id == dead.run_id
    assert len(rivals(server.runs(cell="c1"))) == 1


def test_a_worker_of_another_place_is_believed_for_a_lease(server, holder):
    silence(holder(server))
    started = time.monotonic()
    holder(server)
    assert time.monotonic() - started >= QUICK.lease


def test_a_sleep_of_the_one_who_looks_is_no_silence_of_the_holder(server, holder, monkeypatch):
    silence(holder(server))
    looks = []
    monkeypatch.setattr(module.time, "sleep", lambda _: looks.append(1))
    heir = dataclasses.replace(QUICK, lease=60, poll=2)
    monkeypatch.setattr(module.time, "monotonic", lambda: 1000.0 * len(looks))
    holder(server, timing=heir)
    assert len(looks) == 60 / (2 * 2)


def test_a_server_that_is_away_takes_no_cell_from_its_holder(server, holder, claim):
    one, other = holder(server, timing=NEVER), claim(server)
    server.away = True
    until(lambda: time.monotonic() - one._heard > NEVER.lease)
    one.ensure()
    with pytest.raises(UnavailableError):
        other.acquire()
    server.away = False
    one.ensure()


@pytest.mark.parametrize("value", ["{", "[]", '{"pid": 1}', '{"asked": "x"}', ""])
def test_an_edited_claim_names_nobody_and_the_lease_decides(server, holder, value):
    forge(server, **{f"{CLAIM}x": value})
    started = time.monotonic()
    holder(server)
    assert time.monotonic() - started >= QUICK.lease


def test_a_running_run_of_an_earlier_version_is_believed_while_its_heartbeat_changes(server, holder, claim):
    old = forge(server, heartbeat="1.0", spool="old", host="gpu3")
    stop = threading.Event()

    def beat():
        while not stop.wait(QUICK.poll):
            server.log(old, {"heartbeat": str(time.time())})

    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(ClaimTakenError, match="gpu3"):
        claim(server).acquire()
    stop.set()
    thread.join()
    assert holder(server).run_id == old


def test_a_run_that_ended_without_a_claim_is_gone_on_with_at_once(server, holder):
    old = forge(server, "KILLED", spool="old")
    assert holder(server, timing=SLOW).run_id == old


def test_a_finished_cell_is_nobody_s(server, claim):
    forge(server, "FINISHED", spool="old")
    with pytest.raises(SupersededError):
        claim(server).acquire()


def test_a_request_whose_answer_was_lost_is_made_once(server, claim):
    create, one = server.create_run, claim(server, timing=SLOW)

    def lost(*given):
        create(*given)
        server.create_run = create
        raise UnavailableError("cut")

    server.create_run = lost
    with pytest.raises(UnavailableError):
        one.acquire()
    one.acquire()
    (run,) = server.held.values()
    assert (run.id, run.tags[HOLDER_TAG], len(rivals([run]))) == (one.run_id, one._attempt, 1)


def test_a_claim_that_failed_can_be_acquired_again(server, claim):
    runs, one = server.runs, claim(server)
    answers = iter([runs])

    def breaks(cell):
        return next(answers, lambda _: (_ for _ in ()).throw(UnavailableError("cut")))(cell)

    one.acquire()
    one.release()
    server.runs = breaks
    with pytest.raises(UnavailableError):
        one.acquire()
    server.runs = runs
    one.acquire()
    one.confirm()
    assert [left.id for left in rivals(server.runs(cell="c1"))] == [one._id]


def test_of_many_that_race_for_a_cell_one_gets_it_whatever_comes_between(tmp_path, claim):
    """Workers that share a server alone, on a cell without a run, and again on the run that the winner left."""
    rng = random.Random(0)
    server = Runs(lambda: time.sleep(rng.choice([0.0, 0.0, 0.001, 0.004])))
    for number in range(25):
        gate, won, lock = threading.Barrier(4), [], threading.Lock()
        racing = [claim(server, timing=Timing(beat=0.02, lease=2.0, poll=0.005)) for _ in range(4)]

        def race(one, gate=gate, won=won, lock=lock):
            gate.wait()
            with contextlib.suppress(ClaimTakenError):
                one.acquire()
                with lock:
                    won.append(one)

        threads = [threading.Thread(target=race, args=(one,)) for one in racing]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, number
        won[0].confirm()
        won[0].release()
        if number % 5 < 4:
            server.end(won[0].run_id, "KILLED")
        else:
            server.held.clear()
        assert len(server.held) <= 1, "a worker that stepped back left its run"


def test_a_run_that_is_made_again_while_the_server_goes_away_is_claimed_later(server, holder):
    one, runs = holder(server, timing=SLOW), server.runs
    server.remove(one.run_id)
    answers = iter([runs, runs])

    def breaks(cell):
        return next(answers, lambda _: (_ for _ in ()).throw(UnavailableError("cut")))(cell)

    server.runs = breaks
    with pytest.raises(UnavailableError):
        one.renew()
    server.runs = runs
    assert HOLDER_TAG not in server.run(one.run_id).tags
    one.ensure()
    assert server.run(one.run_id).tags[HOLDER_TAG] == one._attempt
    assert len(server.held) == 1


def test_a_beat_that_looked_before_the_cell_was_won_loses_nothing(server, claim):
    one, run = claim(server, timing=SLOW), server.run

    def overtaken(run_id):
        seen = run(run_id)
        server.run = run
        one._win()
        return seen

    one._ask([])
    server.run = overtaken
    one.confirm()
    one.check()
    assert server.run(one.run_id).tags[HOLDER_TAG] == one._attempt


def test_a_claim_that_could_not_be_taken_back_is_taken_back_later(server, holder):
    one = holder(server)
    server.away = True
    one.release()
    server.away = False
    one.release()
    assert [left.id for left in rivals(server.runs(cell="c1"))] == [""]


def test_a_run_that_was_deleted_is_made_again_by_its_holder(server, holder, claim):
    one = holder(server)
    gone = one.run_id
    assert not one.renew()
    server.remove(gone)
    assert one.renew()
    assert one.run_id != gone
    assert server.run(one.run_id).tags[HOLDER_TAG] == one._attempt
    server.remove(one.run_id)
    holder(server, timing=SLOW)
    with pytest.raises(ClaimLostError):
        one.renew()


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    Server(uri, EXPERIMENT)
    return uri


@pytest.mark.slow
def test_a_real_store_keeps_claims_as_this_module_needs_them(uri, holder, tmp_path):
    server = Server(uri, EXPERIMENT)
    one = holder(server, "real")
    (told,) = [read(value) for key, value in server.run(one.run_id).tags.items() if key.startswith(CLAIM)]
    assert told["place"] == one._place
    server.remove(one.run_id, "cell")
    assert one.renew()
    with pytest.raises(MissingError):
        server.untag(one.run_id, "claim.none")
    one.release()
    assert rivals(server.runs(cell="real"))[0].id == "", "a run without claims"


@pytest.mark.slow
def test_runs_and_claims_of_an_earlier_version_are_read(uri, tmp_path):
    """Those were registered models, whose names only one could make."""
    server = Server(uri, EXPERIMENT)
    owner = json.dumps({"token": "x", "host": "h", "machine": "m", "pid": 1, "born": "1"})
    server.client.create_registered_model(f"training-{server.experiment_id}-old-0", {"owner": owner, "beat": "7"})
    run_id = server.create_run("n", {"cell": "old", "spool": "before", "heartbeat": "1.0"}, 0)
    store = Store(uri, EXPERIMENT, tmp_path / "outputs", timing=QUICK)
    assert store.find("old").status == "RUNNING"
    with store.run("old", "n", {"cell": "old"}, {}) as record:
        assert record.run_id == run_id
    assert store.find("old").status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True])
def test_of_eight_processes_that_race_for_a_cell_one_gets_it_again_and_again(uri, tmp_path, apart):
    with workers(8, uri, tmp_path, "fast", apart=apart) as racing:
        for number in range(5):
            for worker in racing:
                worker.say(f"open race{apart}{number}")
            heard = [worker.hear().split()[0] for worker in racing]
            assert Counter(heard) == {"got": 1, "taken": 7}
            assert racing[heard.index("got")].ask("end") == "finished"
    runs = [run for run in Server(uri, EXPERIMENT).runs() if run.tags["cell"].startswith(f"race{apart}")]
    assert Counter(run.tags["cell"] for run in runs) == {f"race{apart}{number}": 1 for number in range(5)}
    assert {run.status for run in runs} == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True])
def test_a_killed_holder_frees_its_cell_and_the_next_one_goes_on_in_its_run(uri, tmp_path, apart):
    cell = f"killed{apart}"
    with workers(2, uri, tmp_path, "fast", apart=apart) as (first, second):
        assert first.ask(f"open {cell}") == "got"
        assert first.ask("metric loss 3 1") == "done"
        assert second.ask(f"open {cell}").startswith("taken")
        until(lambda: Server(uri, EXPERIMENT).runs(cell=cell)[0].metrics)
        first.signal(signal.SIGKILL)
        first.process.wait()
        assert second.ask(f"open {cell}") == "got"
        assert second.ask("end") == "finished"
    (run,) = Server(uri, EXPERIMENT).runs(cell=cell)
    assert (run.status, run.metrics) == ("FINISHED", {"loss": 3.0})


@pytest.mark.slow
def test_a_holder_that_was_stopped_past_its_lease_loses_and_records_nothing(uri, tmp_path):
    with workers(2, uri, tmp_path, "fast", apart=True) as (first, second):
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
    (run,) = Server(uri, EXPERIMENT).runs(cell="stopped")
    assert (run.status, run.metrics) == ("FINISHED", {"loss": 2.0})


@pytest.mark.slow
def test_a_loser_s_upload_goes_nowhere(uri, tmp_path, claim, holder):
    server = Server(uri, EXPERIMENT)
    spool = Spool.create(tmp_path / "x", cell="lost", experiment=EXPERIMENT, name="n", tags={}, params={})
    silent = holder(server, "lost", NEVER, spool=spool)
    holder(server, "lost")
    spool.metrics({"loss": 99.0}, 1)
    spool.end("FINISHED")
    with pytest.raises(ClaimLostError):
        upload(spool, silent)
    (run,) = mlflow.MlflowClient(uri).search_runs([server.experiment_id], "tags.cell = 'lost'")
    assert (run.info.status, run.data.metrics) == ("RUNNING", {})
