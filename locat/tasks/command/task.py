"""command: run a program, and take what it leaves for what it promised."""

import os
import signal
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

from locat.config import CommandConfig
from locat.contract import durable
from locat.contract.credentials import redact
from locat.contract.errors import JobError, Preempted, ProgramError
from locat.contract.fence import Fence
from locat.contract.job_folder import ExitCode, JobFolder, rank_log
from locat.contract.meeting import free_port
from locat.contract.names import one_line_path
from locat.contract.outcome import attempt_folder
from locat.contract.text import last_line
from locat.engine.tracking import tracked
from locat.engine.tracking.metric_log import MetricLog
from locat.tasks.command.numbers import Numbers
from locat.tasks.command.program import Program

JOB_VARIABLE = "LOCAT_JOB_DIR"
"""Environment variable: the job's folder, the same in every attempt."""
STOPPED = frozenset({int(ExitCode.PREEMPTED), -signal.SIGTERM, 128 + signal.SIGTERM})
"""Exit codes of a program that was asked to stop: by its own word, by the signal, by a shell's word for it. Whether it
was is told by the attempt runner (`launcher.attempt.ending`)."""


def command(config: CommandConfig, job: JobFolder) -> None:
    """Run the program, see that its outputs are there, and hand its numbers on.

    Raises:
        ProgramError: it could not be run, or ended with another exit code than 0.
        JobError: it was silent for too long, or an output is missing.
        DataError: its metrics are none.
        Preempted: it was asked to stop, and has.
        Superseded: a newer attempt of the job has begun.
    """
    is_main = os.environ.get("RANK", "0") == "0"
    for folder in (job.outputs, job.checkpoints):
        durable.make_folder(folder, within=job.path)
    with tracked(job, config, is_main):
        run(config, job)
        if not is_main:
            return
        for name, path in config.own_outputs.items():
            found(job, path, f"output {name!r}")
        if config.metrics is not None:
            hand_on(Numbers.read(regular(found(job, config.metrics, "`metrics`")), job.name), config, job)


def run(config: CommandConfig, job: JobFolder) -> None:
    """Run the program to its end; returns where that is exit code 0."""
    word, *arguments = config.argv
    argv = [sys.executable if word == "python" else word, *arguments]
    silence = Silence(config.silence_timeout, job.progress)
    fence = Fence.here()

    def look() -> None:
        if fence.notices():
            fence.check()
        silence.check(word)

    with Program(argv, config.cwd, environment(config, job)) as program:
        code = program.wait(look)
    if code in STOPPED:
        raise Preempted(f"{word} ended {f'with exit code {code}' if code > 0 else 'by SIGTERM'}")
    if code != ExitCode.DONE:
        raise failure(word, code)


def environment(config: CommandConfig, job: JobFolder) -> dict[str, str]:
    """The variables of the program: this process's, without the mode of Python that hides modules beside a script."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    return {**(a_lone_rank() if config.distributed else {}), **kept, JOB_VARIABLE: str(job.path)}


def a_lone_rank() -> dict[str, str]:
    """What torchrun says to the only rank of a job; a job of one process is started without it."""
    rank = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    return {**rank, "MASTER_ADDR": "localhost", "MASTER_PORT": str(free_port())}


class Silence:
    """Watches for signs of life: whatever is printed, and a progress.json that is renewed."""

    def __init__(self, limit: float | None, progress: Path) -> None:
        """`limit`: seconds; None for a program that may be silent."""
        self._limit, self._progress = limit, progress
        self._seen, self._since = self._signs(), time.monotonic()

    def check(self, program: str) -> None:
        """Raise JobError if the last sign is longer ago than the limit."""
        if self._limit is None:
            return
        if (signs := self._signs()) != self._seen:
            self._seen, self._since = signs, time.monotonic()
        elif time.monotonic() - self._since > self._limit:
            raise JobError(
                f"{program} hangs: for {self._limit:g} s it printed nothing and progress.json stayed as it was"
            )

    def _signs(self) -> tuple[tuple[int, int], ...]:
        if self._limit is None:
            return ()
        told = [os.fstat(sys.stdout.fileno())]
        with suppress(FileNotFoundError):
            told.append(self._progress.stat())
        return tuple((each.st_mtime_ns, each.st_size) for each in told)


def failure(program: str, code: int) -> ProgramError:
    """Why a job failed whose program ended with this code, negative for a signal."""
    if code < 0:
        memory = ", perhaps out of memory" if code == -signal.SIGKILL else ""
        names = {int(each): each.name for each in signal.Signals}
        return ProgramError(f"{program} was killed by {names.get(-code, f'signal {-code}')}{memory}", 128 - code)
    attempt = attempt_folder()
    log = rank_log(attempt, int(os.environ.get("RANK", 0))) if attempt else None
    said = last_line(log) if log and log.exists() else ""  # the debug backend keeps none
    return ProgramError(redact(": ".join(filter(None, (f"{program} ended with exit code {code}", said)))), code)


def found(job: JobFolder, path: str, what: str) -> Path:
    """What the program left at `path` of the outputs.

    Raises:
        JobError: nothing, or a link out of the outputs.
    """
    outputs = job.path.resolve() / job.outputs.name
    place = outputs / path
    if not place.exists():
        raise JobError(
            f"{what} is missing: the program ended with exit code 0 and has not written {one_line_path(place)}"
        )
    if not place.resolve().is_relative_to(outputs):
        raise JobError(
            f"{what}: {one_line_path(place)} is a link that leads out of the job's outputs; write the file itself"
        )
    return place


def regular(file: Path) -> Path:
    """`file`, which is one: not a folder, nor a pipe that is waited for."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise JobError(f"{one_line_path(file)} is no file; `metrics` names a file of JSON")
    return file


def hand_on(numbers: Numbers, config: CommandConfig, job: JobFolder) -> None:
    """Give the numbers to MLflow, and to later jobs as other tasks' results are given."""
    MetricLog(job.metrics).append(0, numbers.metrics)
    results = {
        "task": config.task,
        "model": numbers.model,
        "dataset": numbers.dataset,
        "contents": "",
        "metrics": numbers.metrics,
    }
    Fence.here().check()
    durable.sync_tree(job.outputs)
    durable.write_json(job.results, results)
