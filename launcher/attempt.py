"""One attempt of one job: `python -m launcher.attempt RUN_FOLDER JOB`, the same on every backend.

Holds the job's lock, runs the command, and records how it ended. Needs no supervisor.
"""

import argparse
import contextlib
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

from launcher import locks, machine, processes, tracking
from launcher.plan import PlannedJob
from launcher.run_folder import RunFolder
from launcher.state import JobState, Status
from locat import durable
from locat.job_folder import ATTEMPT_VARIABLE, ExitCode, JobFolder

GRACE = 60.0
"""Seconds a job has to checkpoint after it was asked to stop."""
RECORD_PATIENCE = 60.0
"""Seconds in which the end of an attempt must be written."""
LAUNCH_LOG = "launch.log"
"""What the command prints before its ranks write logs of their own."""
STOPPED_MARK = "stopped"
"""In an attempt's folder: it was asked to stop, on this or another of its nodes."""
SCHEDULED_AS = "scheduled-as"
"""In an attempt's folder: what its scheduler calls it, where several nodes start by themselves."""
STATUS_OF = {ExitCode.DONE: Status.DONE, ExitCode.INVALID: Status.INVALID, ExitCode.PREEMPTED: Status.PREEMPTED}


@dataclass(frozen=True)
class Ending:
    """How an attempt ended."""

    exit_code: int
    reason: str = ""


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


@dataclass
class Stop:
    """Passes requests to stop on to the job, and kills it when the grace after the first one is over."""

    job: JobFolder
    grace: float
    stop_with: tuple[str, ...] = ()
    requested: bool = field(default=False, init=False)
    out_of_time: bool = field(default=False, init=False)
    half_time: float = field(default=math.inf, init=False)
    """Half of the job's time is over at this moment of the monotonic clock."""
    killed: bool = field(default=False, init=False)
    group: int | None = field(default=None, init=False)
    """The command's process group, once it runs."""
    folder: Path | None = field(default=None, init=False)
    """The attempt's, once it has one."""

    def install(self) -> None:
        """Handle the signals of schedulers; SIGUSR1 is the early warning of some."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._on_request)
        signal.signal(signal.SIGALRM, self._on_alarm)

    def pass_on_to(self, group: int, limit: float | None = None, is_warned: bool = False) -> None:
        """From now on signals go to this process group; one that came already goes there at once.

        `limit` seconds from now the job has ended: it is asked to stop as long before as the grace is, but not
        before half of the time is over. `is_warned`: its scheduler asks for that by SIGUSR1.
        """
        self.group = group
        if self.requested:
            self._ask()
        elif limit is not None:
            self.half_time = time.monotonic() + limit / 2
            if not is_warned:
                signal.setitimer(signal.ITIMER_REAL, max(limit - self.grace, limit / 2))

    def kill(self) -> None:
        """End every process of the job that is still there."""
        self._send(signal.SIGKILL)
        processes.send(processes.of_job(self.job), signal.SIGKILL)

    def _on_request(self, number: int, frame: FrameType | None) -> None:
        if not self.requested:
            signal.setitimer(signal.ITIMER_REAL, self.grace)
            # An early warning is to make room for others.
            self.out_of_time |= number == signal.SIGUSR1 and time.monotonic() > self.half_time
        self.requested = True
        self._ask()

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self.killed = True
            self.kill()
        else:
            self.out_of_time = True
            self._on_request(number, frame)

    def _ask(self) -> None:
        if self.group is None or self.folder is None:
            return
        with contextlib.suppress(OSError):  # a full disk takes no mark
            (self.folder / STOPPED_MARK).touch()
        if not self.stop_with or subprocess.run(self.stop_with, stdin=subprocess.DEVNULL).returncode:
            self._send(signal.SIGTERM)  # never SIGUSR1: torchrun passes on SIGTERM, but dies of SIGUSR1

    def _send(self, number: signal.Signals) -> None:
        if self.group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.group, number)


def attempt(run: RunFolder, name: str, grace: float = GRACE, host: Host | None = None) -> Ending:
    """Run one attempt; returns how it ended.

    PREEMPTED without a new attempt means: not now (another attempt lives, or cancelled).
    """
    host = host or Host()
    job = run.plan().job(name)
    folder = run.job(name)
    stop = Stop(folder, grace, host.stop_with)
    stop.install()
    lock = locks.acquire(run.job_lock(name), host.patience)
    if lock is None:
        print(f"{name}: another attempt is alive", flush=True)
        return Ending(ExitCode.PREEMPTED, "another attempt is alive")
    state = run.state(name)
    if state.status is Status.DONE:
        return Ending(ExitCode.DONE)
    if run.is_cancelled(name):
        return Ending(ExitCode.PREEMPTED, "cancelled")

    stop.kill()  # what an earlier attempt may have left: two attempts never write to one folder
    number = last_attempt(folder) + 1
    folder.attempt(number).mkdir(parents=True)
    state = JobState(
        Status.RUNNING,
        number,
        os.getpid(),
        started=time.time(),
        failures=state.failures,
        host=machine.host(),
        boot=machine.boot(),
    )
    if host.scheduled_as:
        durable.write_text(folder.attempt(number) / SCHEDULED_AS, host.scheduled_as)
    state.write(folder.state)
    saved = _saved(folder)
    ending = execute(job, run, folder.attempt(number), stop, host, held=[lock, *host.slots])
    cancelled = run.is_cancelled(name)
    if stop.out_of_time and ending.exit_code == ExitCode.PREEMPTED and not cancelled:
        ending = replace(ending, reason=f"reached its time limit of {job.resources.time} min")
        if _saved(folder) == saved:  # run again it would get no further, and that for ever
            ending = Ending(1, f"{ending.reason}, with nothing saved: give it more `time`")
    trouble = _record(_ended(state, ending, cancelled), folder.state)
    os.close(lock)  # from here on whoever looks sees how it ended, this process too
    return replace(ending, reason="; ".join(filter(None, (ending.reason, trouble))))


def last_attempt(job: JobFolder) -> int:
    """Number of a job's latest attempt; 0 if it has none."""
    return max((int(entry.name) for entry in job.attempts.glob("[0-9]*")), default=0)


def _saved(job: JobFolder) -> set[str]:
    """The files and folders that a job has saved until now."""
    parts = (job.checkpoints, job.outputs)
    return {f"{at}/{name}" for part in parts for at, folders, files in os.walk(part) for name in (*folders, *files)}


def runs_again(run: RunFolder, name: str, exit_code: int) -> bool:
    """Whether a job whose attempt ended with `exit_code` is to have another one."""
    if run.is_cancelled(name) or exit_code == ExitCode.DONE:
        return False
    state = run.state(name)
    is_retried = state.status is Status.FAILED and state.failures <= run.plan().job(name).retries
    return exit_code == ExitCode.PREEMPTED or is_retried


def execute(
    job: PlannedJob,
    run: RunFolder,
    folder: Path,
    stop: Stop,
    host: Host,
    held: Sequence[int] = (),
    log_name: str = LAUNCH_LOG,
) -> Ending:
    """Run the job's command to its end, and end what it leaves behind.

    Args:
        folder: the attempt's.
        held: descriptors of locks that the command holds too.
        log_name: file in `folder` for what the command itself prints.
    """
    stop.folder = folder
    command = [*host.launch, *(host.python if word == "python" else word for word in job.command[:1]), *job.command[1:]]
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",  # logs are read while they are written
        # torchrun (2.12 and newer) else kills ranks 30 s after it passed the request to stop on to them
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(math.ceil(stop.grace)),
        "PET_LOG_DIR": str(folder / "torchrun"),  # it else leaves a folder in /tmp
        **job.environment,
        ATTEMPT_VARIABLE: str(folder),
    }
    try:
        with (folder / log_name).open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=run.path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=held,
            )
    except OSError as error:
        return Ending(127, f"cannot run {command[0]}: {error.strerror}")
    minutes = job.resources.time
    stop.pass_on_to(process.pid, minutes * 60 if minutes else None, is_warned=host.limits_time)
    code = process.wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
    stop.kill()
    if stop.killed:
        return Ending(128 + signal.SIGKILL, f"did not stop within {stop.grace:g} s and was killed")
    return _explain(folder, code, stop.requested or (folder / STOPPED_MARK).exists(), log_name)


def _explain(folder: Path, code: int, stop_requested: bool, log_name: str) -> Ending:
    """The job's exit code and reason, from its command's exit code and what its ranks left."""
    if code == ExitCode.DONE:
        return Ending(ExitCode.DONE)
    killed_by = signal.Signals(-code).name if code < 0 else ""
    own = Ending(128 - code, f"killed by {killed_by}") if code < 0 else Ending(code, _last_line(folder / log_name))
    if killed_by == "SIGKILL":
        own = replace(own, reason="killed by SIGKILL, perhaps out of memory")
    try:
        outcome = Ending(**json.loads((folder / "outcome.json").read_text()))
    except FileNotFoundError:
        # Asked to stop while it was still starting, it stopped: there was nothing to save, and nothing failed.
        stopped = stop_requested and killed_by != "SIGKILL"
        return Ending(ExitCode.PREEMPTED, "stopped when asked to") if stopped else own
    if outcome.exit_code == ExitCode.PREEMPTED != code and not stop_requested:
        # When a rank dies torchrun stops the others, which then checkpoint and ask to be run again.
        # That is a failure all the same; taken for a preemption it would be repeated for ever.
        return replace(own, reason=f"a rank died: {own.reason}")
    return outcome


def _last_line(log: Path) -> str:
    """The last line that says something: torchrun's report ends with a ruler."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if any(map(str.isalnum, line))), "")


def _ended(state: JobState, ending: Ending, cancelled: bool) -> JobState:
    status = next((status for code, status in STATUS_OF.items() if code == ending.exit_code), Status.FAILED)
    if cancelled and status in (Status.FAILED, Status.PREEMPTED):
        status = Status.CANCELLED
    return replace(
        state,
        status=status,
        exit_code=ending.exit_code,
        reason=ending.reason,
        ended=time.time(),
        failures=state.failures + (status is Status.FAILED),
    )


def _record(state: JobState, file: Path) -> str:
    """Write how a job ended; a full disk may have room in a moment, but schedulers wait for the exit code.

    Returns why it could not be written; empty if it was.
    """
    deadline = time.monotonic() + RECORD_PATIENCE
    while True:
        try:
            state.write(file)
            return ""
        except OSError as error:
            if time.monotonic() > deadline:
                trouble = f"cannot record that the attempt ended: {error}"
                print(trouble, flush=True)
                return trouble
        time.sleep(1)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m launcher.attempt", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN_FOLDER")
    parser.add_argument("job", metavar="JOB")
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds to stop in before SIGKILL (default 60)")
    parser.add_argument("--limits-time", action="store_true", help="the scheduler asks to stop before the time limit")
    parser.add_argument("--slots", default="", metavar="N,N", help="descriptors that hold its slots")
    parser.add_argument("--python", default=sys.executable, help="what `python` in the job's command stands for")
    parser.add_argument("--stop-with", default="", metavar="COMMAND", help="asks the job to stop (default SIGTERM)")
    parser.add_argument("--rerun-with", default="", metavar="COMMAND", help="asks the scheduler for another attempt")
    parser.add_argument("launch", nargs="*", metavar="-- LAUNCH", help="what the job's command is put after")
    arguments = parser.parse_args()
    stop_with, rerun_with = (tuple(shlex.split(text)) for text in (arguments.stop_with, arguments.rerun_with))
    host = Host(
        launch=tuple(arguments.launch),
        python=arguments.python,
        limits_time=arguments.limits_time,
        slots=tuple(int(number) for number in arguments.slots.split(",") if number),
        stop_with=stop_with,
        rerun_with=rerun_with,
    )
    run = RunFolder(arguments.run.resolve())
    code = attempt(run, arguments.job, arguments.grace, host).exit_code
    if rerun_with and runs_again(run, arguments.job, code):
        subprocess.run(rerun_with, stdin=subprocess.DEVNULL)
    elif rerun_with:
        tracking.sync_if_ended(run)
    return code


if __name__ == "__main__":
    sys.exit(main())
