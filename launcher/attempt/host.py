"""What a scheduler wants of an attempt."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from launcher import locks
from launcher.attempt.ending import Ending
from launcher.plan import PlannedJob
from launcher.runs.folder import RunFolder

Execute = Callable[[RunFolder, PlannedJob, dict[str, str]], Ending]
"""Runs a job with these variables to its end."""


@dataclass(frozen=True)
class Host:
    """How a scheduler wants attempts to be run; the default is this machine by itself.

    `launcher.backends.base` says what each means for a backend. The local one needs `slots` alone.
    """

    launch: tuple[str, ...] = ()
    """What the job's command is put after, such as `srun --nodes=2`. Slurm, for several nodes and containers."""
    python: str = sys.executable
    """What `python` in the job's command stands for. Slurm, for containers, which have their own."""
    limits_time: bool = False
    """Whether the scheduler asks a job to stop that is about to exceed its time; else the attempt runner does.
    Slurm."""
    slots: tuple[int, ...] = ()
    """Descriptors that hold the job's cores and GPUs; its command holds them too. The local backend."""
    image: str = ""
    """Container image that the command runs in, for the record. Slurm and Kubernetes."""
    code: str = ""
    """Digest of the code that this process and the command run, where that is no run's copy. Kubernetes and debug."""
    stop_with: tuple[str, ...] = ()
    """Command that asks the job to stop; without one its process group gets SIGTERM. Slurm, where `srun` runs it."""
    rerun_with: tuple[str, ...] = ()
    """Command that asks the scheduler for another attempt; without one whoever started this one sees to it. Slurm."""
    scheduled_as: str = ""
    """What the scheduler calls this attempt: by that its other nodes find the attempt's folder. Kubernetes, whose pods
    start by themselves."""
    address: str = ""
    """How other nodes reach this one; empty: by the machine's name. Kubernetes, whose pods have names of their own."""
    patience: float = locks.PATIENCE
    """Seconds an earlier attempt may take to end. Kubernetes, where a pod that is gone may have a dying container."""
    execute: Execute | None = None
    """What runs the job, of whose processes and time it then sees to itself; without it its command does. The debug
    backend, which runs jobs in its own process."""
