"""Where reading stands, and training with it."""

from dataclasses import dataclass, replace

from locat.data.order import OrderKind


@dataclass(frozen=True)
class Position:
    """The next batch: what was consumed decides, not what was decoded ahead."""

    step: int = 0
    """Batches consumed so far, each of which is one optimizer step in training."""
    epoch: int = 0
    """Epoch of the next batch."""
    batch: int = 0
    """The next batch's number within its epoch."""
    order: OrderKind = OrderKind.SORTED
    """The kind of order that every epoch has; older checkpoints, which do not say, have this one."""

    def after_batch(self, batches_per_epoch: int) -> "Position":
        """The position once the next batch is consumed."""
        if self.batch + 1 == batches_per_epoch:
            return replace(self, step=self.step + 1, epoch=self.epoch + 1, batch=0)
        return replace(self, step=self.step + 1, batch=self.batch + 1)


START = Position()
