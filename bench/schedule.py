"""When a cell is evaluated, in training steps; arithmetic only."""

from dataclasses import dataclass

from bench.schema import ProtocolConfig


@dataclass(frozen=True)
class Schedule:
    """The steps of one training.

    Attributes:
        batch_size: images per step.
        batches: steps per epoch; the incomplete last batch of an epoch is dropped.
        steps: of the whole training.
        every: images between two evaluations, at least a batch; one more evaluation takes place after the last step.
    """

    batch_size: int
    batches: int
    steps: int
    every: int

    def next_evaluation(self, step: int) -> int:
        """The step after which the evaluation follows that comes first once `step` steps are done."""
        images = (step * self.batch_size // self.every + 1) * self.every
        return min(-(-images // self.batch_size), self.steps)

    def evaluations_left(self, step: int) -> int:
        """Evaluations still to come once `step` steps, and the evaluation that was due after them, are done."""
        if step == self.steps:
            return 0
        due = [number * self.batch_size // self.every for number in (step, self.steps - 1, self.steps)]
        return due[2] - due[0] + (due[1] == due[2])

    def position(self, step: int) -> tuple[int, int]:
        """(epoch, batch in it), both from 0, of the step that comes after `step` steps."""
        return divmod(step, self.batches)


def make_schedule(protocol: ProtocolConfig, images: int, *, probe: bool) -> Schedule:
    """The schedule of a protocol over a training split of `images` images.

    Args:
        protocol: batch size, epochs, and `checkpoints.every_examples` images between evaluations, or None for an epoch.
        images: of the training split, at least one batch of them.
        probe: whether `probe_epochs` of a linear probe come first.
    """
    batches = images // protocol.batch_size
    every = protocol.checkpoints.every_examples
    images_between = batches * protocol.batch_size if every is None else max(every, protocol.batch_size)
    epochs = protocol.epochs + probe * protocol.probe_epochs
    return Schedule(protocol.batch_size, batches, batches * epochs, images_between)
