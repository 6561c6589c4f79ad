import os
import pickle
import signal
import threading

import pytest

from bench.training.interrupts import Interrupted, deferred


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_held_back_and_noted(number):
    before = signal.getsignal(number)
    with deferred() as requests:
        assert requests.number == 0
        os.kill(os.getpid(), number)
        assert requests.number == number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_stops_at_once():
    with deferred():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted) as stop:
            os.kill(os.getpid(), signal.SIGINT)
    assert (stop.value.code, "saved" in str(stop.value)) == (130, False)


def test_outside_the_main_thread_nothing_is_held_back():
    found = []

    def work():
        with deferred() as requests:
            found.append((requests.number, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(0, before)]


def test_it_is_no_failure_and_says_what_a_shell_expects():
    stop = Interrupted(signal.SIGTERM)
    assert not isinstance(stop, Exception)
    assert stop.code == 143
    assert "SIGTERM" in str(stop)
    sent = pickle.loads(pickle.dumps(stop))
    assert (sent.code, str(sent)) == (143, str(stop))
    sent = pickle.loads(pickle.dumps(Interrupted(signal.SIGINT, saved=False)))
    assert (sent.code, "saved" in str(sent)) == (130, False)
