"""What ends a job between two batches, on all ranks at once: a request to stop, or a newer attempt."""

from locat.contract.errors import Superseded
from locat.contract.fence import Fence
from locat.engine.distributed import Ranks
from locat.engine.signals import StopRequest


class Stopping:
    """Asked by every rank, it gives every rank the same answer. The main rank alone looks for a newer attempt."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks, self._fence = ranks, Fence.here()
        self.request = StopRequest()

    def is_asked(self) -> bool:
        """Whether some rank is asked to stop.

        Raises:
            Superseded: a newer attempt has begun.
        """
        superseded = self._ranks.is_main and self._fence.notices()
        if not self._ranks.any(self.request.received or superseded):
            return False
        self.halt_if_superseded()
        return True

    def halt_if_superseded(self) -> None:
        """See that this attempt is the newest still, at once: before what is meant for good.

        Raises:
            Superseded: it is not.
        """
        if reason := self._ranks.from_main(self._fence.reason() if self._ranks.is_main else ""):
            raise Superseded(reason)
