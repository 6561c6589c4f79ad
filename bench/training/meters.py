"""Callbacks that measure what a fit takes from the machine; a fit that goes on later adds to what it took before."""

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from bench.training.counters import Joules, PeakMemory

READ_SECONDS = 10.0
"""Time between two reads of the energy counter, far less than a processor's takes to begin again at 0."""


class EnergyMeter(pl.Callback):
    """The joules of a fit, evaluations included; unknown, and never 0, where the device does not report them.

    A fit that was interrupted goes on with the joules of its saved state, so that the sum is that of the steps that
    count: what was spent after the last saved state was spent in vain, and is spent again. Where any part ran on a
    device that reports nothing, or that stopped to, the sum is unknown.

    Args:
        counter: joules so far, None where the device does not count them.
        clock: seconds, monotonic.
    """

    def __init__(self, counter: Joules | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._counter, self._clock = counter, clock
        self._joules: float | None = None if counter is None else 0.0
        self._stand: float | None = None
        self._read_at = 0.0

    def on_fit_start(self, *_: Any) -> None:
        """Takes the counter's stand."""
        if self._counter is not None:
            self._stand, self._read_at = self._counter(), self._clock()
            if self._stand is None:
                self._joules = None

    def after_batch(self, *_: Any) -> None:
        """Reads the counter now and then."""
        if self._clock() - self._read_at >= READ_SECONDS:
            self._read()

    def on_validation_batch_end(self, *_: Any) -> None:
        """Reads the counter now and then."""
        self.after_batch()

    def on_fit_end(self, *_: Any) -> None:
        """Reads the counter a last time; what comes after the fit is not counted."""
        self._read()
        self._stand = None

    def _read(self) -> None:
        if self._counter is None or self._stand is None:
            return
        now = self._counter()
        if now is None:
            self._joules = None
        elif self._joules is not None:
            self._joules += now - self._stand
        self._stand, self._read_at = now, self._clock()

    def state_dict(self) -> dict[str, Any]:
        """The joules so far."""
        self._read()
        return {"joules": self._joules}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the joules of a saved state; what is unknown stays so."""
        before = state_dict["joules"]
        self._joules = None if self._joules is None or before is None else self._joules + before

    def metrics(self) -> dict[str, float]:
        """`energy_joules`; nothing where they are unknown."""
        return {} if self._joules is None else {"energy_joules": self._joules}


class MemoryMeter(pl.Callback):
    """The most memory that a fit held at a time, evaluations included; of several attempts, that of the highest.

    Args:
        peak: what counts it.
    """

    def __init__(self, peak: PeakMemory) -> None:
        self._peak = peak
        self._mib: float | None = None
        self._fitting = False

    def on_fit_start(self, *_: Any) -> None:
        """Begins anew, as other cells may have run in this process."""
        self._peak.start()
        self._fitting = True

    def on_fit_end(self, *_: Any) -> None:
        """Reads the peak; what comes after the fit is not counted."""
        self._read()
        self._fitting = False

    def _read(self) -> None:
        if self._fitting:
            known = [mib for mib in (self._mib, self._peak.read()) if mib is not None]
            self._mib = max(known, default=None)

    def state_dict(self) -> dict[str, Any]:
        """The peak so far."""
        self._read()
        return {"mib": self._mib}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the peak of a saved state."""
        self._mib = state_dict["mib"]

    def metrics(self) -> dict[str, float]:
        """`peak_memory_mib`; nothing where it is unknown."""
        return {} if self._mib is None else {"peak_memory_mib": self._mib}
