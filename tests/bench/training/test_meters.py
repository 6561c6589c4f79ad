import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from bench.training.meters import EnergyMeter, MemoryMeter


class Line(pl.LightningModule):
    """The smallest network that Lightning fits: four training steps, two of them evaluated."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, _):
        return self.layer(batch).sum()

    def validation_step(self, batch, _):
        self.layer(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(*callbacks):
    images = DataLoader(torch.ones(4, 1), batch_size=1)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Line(), images, images)


def counter(start, step):
    reads = []

    def read():
        reads.append(start + step * len(reads))
        return reads[-1]

    return read, reads


def test_the_joules_of_a_fit_are_the_counters_difference():
    read, reads = counter(1_000.0, 5.0)
    meter = EnergyMeter(read)
    fit(meter)
    assert reads == [1_000.0, 1_005.0]
    assert meter.metrics() == {"energy_joules": 5.0}


def test_where_the_device_does_not_count_nothing_is_recorded():
    meter = EnergyMeter(None)
    fit(meter)
    assert meter.metrics() == {}


def test_a_fit_that_goes_on_adds_to_what_its_saved_state_had_used():
    first = EnergyMeter(counter(70.0, 3.0)[0])
    first.on_fit_start()
    state = first.state_dict()
    second = EnergyMeter(counter(9_000.0, 4.0)[0])
    second.load_state_dict(state)
    fit(second)
    assert second.metrics() == {"energy_joules": 7.0}


@pytest.mark.parametrize(("before", "now"), [(None, 3.0), (3.0, None)])
def test_where_one_part_is_unknown_the_sum_is(before, now):
    def meter(step):
        return EnergyMeter(None if step is None else counter(0.0, step)[0])

    first, second = meter(before), meter(now)
    fit(first)
    second.load_state_dict(first.state_dict())
    fit(second)
    assert second.metrics() == {}


def test_what_comes_after_the_fit_is_not_counted():
    meter = EnergyMeter(counter(0.0, 2.0)[0])
    fit(meter)
    meter.state_dict()
    assert meter.metrics() == {"energy_joules": 2.0}


class Peaks:
    """Peak memory that is as told, one reading after the other."""

    def __init__(self, *readings):
        self.readings, self.started = list(readings), 0

    def start(self):
        self.started += 1

    def read(self):
        return self.readings.pop(0)


def test_the_peak_of_a_fit_begins_with_it():
    peaks = Peaks(700.0)
    meter = MemoryMeter(peaks)
    fit(meter)
    assert meter.metrics() == {"peak_memory_mib": 700.0}
    assert peaks.started == 1
    meter.state_dict()
    assert meter.metrics() == {"peak_memory_mib": 700.0}, "what comes after the fit is not read"


@pytest.mark.parametrize(
    ("before", "now", "highest"), [(900.0, 700.0, 900.0), (700.0, 900.0, 900.0), (900.0, None, 900.0)]
)
def test_of_several_attempts_the_highest_peak_counts(before, now, highest):
    first, second = MemoryMeter(Peaks(before)), MemoryMeter(Peaks(now))
    fit(first)
    second.load_state_dict(first.state_dict())
    fit(second)
    assert second.metrics() == {"peak_memory_mib": highest}


def test_an_unknown_peak_is_not_recorded():
    meter = MemoryMeter(Peaks(None))
    fit(meter)
    assert meter.metrics() == {}


@pytest.mark.parametrize("readings", [[None, 3.0], [0.0, None]])
def test_where_the_counter_stops_in_the_middle_of_a_fit_the_sum_is_unknown_and_the_fit_goes_on(readings):
    left = iter([*readings, 3.0])
    meter = EnergyMeter(lambda: next(left))
    fit(meter)
    assert meter.metrics() == {}
    assert meter.state_dict() == {"joules": None}
