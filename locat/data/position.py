"""Where reading stands, and training with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """The next batch: what was consumed decides, not what was decoded ahead."""

    step: int = 0
    """Batches consumed so far, each of which is one optimizer step in training."""
    epoch: int = 0
    """Epoch of the next batch."""
    batch: int = 0
    """The next batch's number within its epoch."""

    def after_batch(self, batches_per_epoch: int) -> "Position":
        """The position once the next batch is consumed."""
        if self.batch + 1 == batches_per_epoch:
            return Position(self.step + 1, self.epoch + 1, 0)
        return Position(self.step + 1, self.epoch, self.batch + 1)


START = Position()
