"""Records some steps of a training with torch's profiler: what `profile` in a config asks for.

Nothing of the profiler is touched outside of these steps. What it finds is in outputs/profile/ as soon as they are
done, and goes to MLflow with the other outputs.
"""

import csv
import gzip
import io
import logging
import math
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import torch

from locat.config.profile import Profile as Settings
from locat.contract import durable
from locat.contract.errors import ConfigError
from locat.contract.fence import Fence
from locat.contract.job_folder import JobFolder
from locat.engine.distributed import Ranks

if TYPE_CHECKING:
    from torch.profiler import profile, record_function

logger = logging.getLogger(__name__)

FOLDER = "profile"
"""In outputs/."""
STEP = "locat step "
"""What the trace calls a step, before its number."""
ALLOCATIONS = 1_000_000
"""The latest that a memory snapshot of a GPU keeps."""


class Profile:
    """Recorded is what lies between `begin` and `end` of the steps that are asked for, on the ranks that are."""

    def __init__(self, settings: Settings | None, job: JobFolder, ranks: Ranks, total: int) -> None:
        """Of a training of `total` steps.

        Raises:
            ConfigError: it has fewer steps, or fewer ranks.
        """
        self._settings, self._job, self._ranks = settings, job, ranks
        self._on_gpu = ranks.device.type == "cuda"
        self._recording: profile | None = None
        self._step: record_function | None = None
        if settings is None:
            return
        if settings.steps[1] > total:
            raise ConfigError(
                f"profile.steps: {settings.steps[1]}, but this training ends after step {total}; give earlier steps"
            )
        if (most := max(settings.ranks)) >= ranks.world_size:
            raise ConfigError(f"profile.ranks: no rank {most}; the job has {ranks.world_size}, counted from 0")

    def begin(self, step: int) -> None:
        """`step` steps are done, and another one follows."""
        if self._settings is None or self._ranks.rank not in self._settings.ranks:
            return
        first, last = self._settings.steps
        if self._recording is None and first <= step < last:
            if step > first:
                logger.warning("the profile is of steps %d to %d: those before were taken earlier", step, last)
            self._start()
        if self._recording is not None:
            from torch.profiler import record_function

            self._step = record_function(f"{STEP}{step}")
            self._step.__enter__()

    def end(self, step: int, is_last: bool) -> bool:
        """`step` steps are done, perhaps all; whether what was recorded has just been written."""
        if self._settings is None or self._recording is None:
            return False
        self._end_step()
        if step < self._settings.steps[1] and not is_last:
            return False
        recorded = self._stop()
        assert recorded is not None
        try:
            self._write(recorded)
            logger.info("the profile of these steps is in %s", self._job.outputs / FOLDER)
        except (OSError, RuntimeError) as error:  # such as a full disk; training goes on
            logger.warning("the profile cannot be written (%s)", error)
        self._forget_memory()
        return True

    def _start(self) -> None:
        from torch.profiler import ProfilerActivity, profile

        assert self._settings is not None
        activities = [ProfilerActivity.CPU]
        if not self._on_gpu:  # where a torch that is built for GPUs finds none, its profiler says so on every start
            os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        if self._on_gpu:
            activities.append(ProfilerActivity.CUDA)
            torch.cuda.synchronize()  # what was asked for before is not of these steps
            if self._settings.memory:
                torch.cuda.memory._record_memory_history(max_entries=ALLOCATIONS)
        self._recording = profile(activities=activities, profile_memory=self._settings.memory)
        self._recording.start()

    def _write(self, recorded: "profile") -> None:
        folder, rank = self._job.outputs / FOLDER, self._ranks.rank
        durable.make_folder(folder, within=self._job.path)
        fence = Fence.here()
        with fence.replacing(folder / f"rank-{rank}.trace.json.gz") as file, tempfile.TemporaryDirectory() as elsewhere:
            plain = Path(elsewhere) / "trace.json"
            recorded.export_chrome_trace(str(plain))
            with plain.open("rb") as source, gzip.open(file, "wb", compresslevel=6) as target:
                shutil.copyfileobj(source, target)
        assert self._settings is not None
        durable.write_text(folder / f"rank-{rank}.kernels.csv", table(recorded, self._settings.memory))
        if self._settings.memory and self._on_gpu:
            with fence.replacing(folder / f"rank-{rank}.memory.pickle") as file:
                torch.cuda.memory._dump_snapshot(str(file))

    def _stop(self) -> "profile | None":
        recorded, self._recording = self._recording, None
        if recorded is not None:
            self._end_step()
            recorded.stop()
        return recorded

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__(None, None, None)
        self._step = None

    def _forget_memory(self) -> None:
        if self._settings is not None and self._settings.memory and self._on_gpu:
            torch.cuda.memory._record_memory_history(enabled=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stop() is not None:
            logger.warning("the profile is dropped: the job ends within its steps")
            self._forget_memory()


def table(recorded: "profile", with_memory: bool) -> str:
    """What ran, as CSV: on a GPU its kernels, on the CPU torch's operations; of each device what took longest first.

    A time is an operation's own, without what it calls; `share` is of all that ran on its device. `memory_mib` is what
    it took less what it gave back.
    """
    rows = []
    for event in recorded.key_averages():
        if event.key.startswith(STEP):
            continue
        on_gpu = event.device_type != torch.autograd.DeviceType.CPU
        microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        memory = event.self_device_memory_usage if on_gpu else event.self_cpu_memory_usage
        rows.append(("gpu" if on_gpu else "cpu", event.key, event.count, microseconds / 1000, memory / 2**20))
    sums = {device: math.fsum(row[3] for row in rows if row[0] == device) for device in ("gpu", "cpu")}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["device", "name", "calls", "milliseconds", "share", *(["memory_mib"] if with_memory else [])])
    for device, name, calls, milliseconds, memory in sorted(rows, key=lambda row: (row[0] == "cpu", -row[3])):
        share = milliseconds / (sums[device] or 1)
        more = [f"{memory:.3f}"] if with_memory else []
        writer.writerow([device, name, calls, f"{milliseconds:.3f}", f"{share:.4f}", *more])
    return text.getvalue()
