"""What a scheduler wants of an attempt."""

import sys
from dataclasses import dataclass

from launcher import locks


@dataclass(frozen=True)
class Host:
    """How a scheduler wants attempts to be run; the default is this machine by itself."""

    launch: tuple[str, ...] = ()
    """What the job's command is put after, such as `srun --nodes=2`."""
    python: str = sys.executable
    """What `python` in the job's command stands for."""
    limits_time: bool = False
    """Whether the scheduler asks a job to stop that is about to exceed its time; else the attempt runner does."""
    slots: tuple[int, ...] = ()
    """Descriptors that hold the job's cores and GPUs; its command holds them too."""
    stop_with: tuple[str, ...] = ()
    """Command that asks the job to stop; without one its process group gets SIGTERM."""
    rerun_with: tuple[str, ...] = ()
    """Command that asks the scheduler for another attempt; without one whoever started this one sees to it."""
    scheduled_as: str = ""
    """What the scheduler calls this attempt: by that its other nodes find the attempt's folder."""
    patience: float = locks.PATIENCE
    """Seconds an earlier attempt may take to end."""
