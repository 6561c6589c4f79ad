"""Callbacks that measure the energy and memory of a fit; a resumed fit adds to what its saved state had measured."""

from typing import Any

import pytorch_lightning as pl

from bench.training.counters import Joules, PeakMemory


class EnergyMeter(pl.Callback):
    """The joules of a fit, evaluations included; unknown, and never 0, where the device does not report them.

    A resumed fit continues from the joules of its saved state: steps that were lost and repeated are counted once.
    Where any part ran on a device that does not report joules, or stopped reporting them, the sum is unknown.

    Args:
        counter: joules so far, None where the device does not count them.
    """

    def __init__(self, counter: Joules | None) -> None:
        self._counter = counter
        self._joules: float | None = None if counter is None else 0.0
        self._last: float | None = None

    def on_fit_start(self, *_: Any) -> None:
        """Read the counter for the first time."""
        if self._counter is not None:
            self._last = self._counter()
            if self._last is None:
                self._joules = None

    def on_fit_end(self, *_: Any) -> None:
        """Read the counter for the last time; what comes after the fit is not counted."""
        self._read()
        self._last = None

    def _read(self) -> None:
        if self._counter is None or self._last is None:
            return
        now = self._counter()
        if now is None:
            self._joules = None
        elif self._joules is not None:
            self._joules += now - self._last
        self._last = now

    def state_dict(self) -> dict[str, Any]:
        """Return the joules so far."""
        self._read()
        return {"joules": self._joules}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the joules of a saved state; what is unknown stays unknown."""
        before = state_dict["joules"]
        self._joules = None if self._joules is None or before is None else self._joules + before

    def metrics(self) -> dict[str, float]:
        """Return `energy_joules`, or nothing where they are unknown."""
        return {} if self._joules is None else {"energy_joules": self._joules}


class MemoryMeter(pl.Callback):
    """The most memory that a fit held at a time, evaluations included; of several attempts, the highest."""

    def __init__(self, peak: PeakMemory) -> None:
        self._peak = peak
        self._mib: float | None = None
        self._fitting = False

    def on_fit_start(self, *_: Any) -> None:
        """Begin the count anew, as other cells may have run in this process."""
        self._peak.start()
        self._fitting = True

    def on_fit_end(self, *_: Any) -> None:
        """Read the peak; what comes after the fit is not counted."""
        self._read()
        self._fitting = False

    def _read(self) -> None:
        if self._fitting:
            known = [mib for mib in (self._mib, self._peak.read()) if mib is not None]
            self._mib = max(known, default=None)

    def state_dict(self) -> dict[str, Any]:
        """Return the peak so far."""
        self._read()
        return {"mib": self._mib}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the peak of a saved state."""
        self._mib = state_dict["mib"]

    def metrics(self) -> dict[str, float]:
        """Return `peak_memory_mib`, or nothing where it is unknown."""
        return {} if self._mib is None else {"peak_memory_mib": self._mib}
