"""One attempt of one job: hold its lock, run the command, record how it ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from launcher import interpreter, locks, machine
from launcher.attempt import environment, meeting, processes
from launcher.attempt.command import STOPPED_MARK, Command
from launcher.attempt.ending import Ending, ended, explain, record, superseded
from launcher.attempt.host import Host
from launcher.attempt.requests import StopRequests
from launcher.attempt.stop import GRACE
from launcher.notify.watch import watching
from launcher.plan import PlannedJob
from launcher.runs.attempts import AttemptRecord, asked_for
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from locat.contract import clock, durable
from locat.contract.errors import UserError
from locat.contract.fence import UNFINISHED, Fence
from locat.contract.job_folder import ExitCode, JobFolder
from locat.contract.source import Machine, Source

LAUNCH_LOG = "launch.log"
"""What the command prints before its ranks write logs of their own."""
SCHEDULED_AS = "scheduled-as"
"""In an attempt's folder: what its scheduler calls it, where several nodes start by themselves."""
LOOK = 1.0
"""Seconds between two looks whether a job was cancelled in the pause before its attempt."""


def attempt(run: RunFolder, name: str, grace: float = GRACE, host: Host | None = None) -> Ending:
    """Run one attempt; returns how it ended.

    PREEMPTED without a new attempt means: not now (another attempt lives, cancelled, or asked to stop in the pause).
    """
    host = host or Host()
    job = run.plan().job(name)
    requests = StopRequests()
    lock = locks.acquire(run.job_lock(name), host.patience)
    if lock is None:
        print(f"{name}: another attempt is alive", flush=True)
        return Ending(ExitCode.PREEMPTED, "another attempt is alive")
    try:
        if run.state(name).status is Status.DONE:
            ending = Ending(ExitCode.DONE)
        elif reason := _why_not(run, name, requests):
            return Ending(ExitCode.PREEMPTED, reason)
        else:
            ending = _attempt(run, job, lock, requests, grace, host)
    finally:
        os.close(lock)  # from here on whoever looks sees how it ended, this process too
    if ending.superseded:
        print(f"{name}: {ending.reason}", flush=True)
    elif ending.exit_code == ExitCode.DONE:
        _clean(run, job)
    return ending


def _clean(run: RunFolder, job: PlannedJob) -> None:
    """Delete what the config of a job that is done has no more use for. What cannot be deleted is said, and no more."""
    if job.checkpoints.get("after") is None:
        return
    from launcher.cleaning import job_end  # which imports what few jobs need

    try:
        told = job_end.clean(run, job)
    except (OSError, UserError) as error:
        told = [f"checkpoints could not be deleted: {error}"]
    for line in told:
        print(f"{job.name}: {line}", flush=True)


def _why_not(run: RunFolder, name: str, requests: StopRequests) -> str:
    """Why no attempt is to begin, told once the pause before it is over; empty if one is.

    Schedulers that know no pauses begin the next attempt at once.
    """
    state = run.state(name)
    rest = state.pause - clock.since(state.ended) if state.ended else 0.0
    begin = time.monotonic() + rest
    while not run.is_cancelled(name):
        if time.monotonic() >= begin:
            return ""
        if requests.requested:
            return "stopped before it began"
        requests.wait(min(begin, time.monotonic() + LOOK))
    return "cancelled"


def _attempt(run: RunFolder, job: PlannedJob, lock: int, requests: StopRequests, grace: float, host: Host) -> Ending:
    """The attempt of a job, whose lock it is given."""
    name, folder, earlier = job.name, run.job(job.name), run.state(job.name)
    # What an earlier attempt may have left is killed: two attempts never write to one folder.
    processes.send(processes.of_job(folder), signal.SIGKILL)
    number = _new_attempt(folder)
    fence = Fence(folder.attempt(number))
    fence.claim()  # nor if one lives on another machine, where locks are not shared
    folder.progress.unlink(missing_ok=True)  # an earlier attempt's
    state = JobState(
        Status.RUNNING,
        number,
        os.getpid(),
        started=time.time(),
        failures=earlier.failures,
        hasty=earlier.hasty,
        host=machine.host(),
        machine=machine.machine_id(),
        boot=machine.boot(),
    )
    _machine(run, host).write(folder.attempt(number))
    place = meeting.arranged(folder.attempt(number), host) if job.resources.nodes > 1 else {}
    if host.scheduled_as:  # the last file: who finds it finds the others
        durable.write_text(folder.attempt(number) / SCHEDULED_AS, host.scheduled_as)
    if newer := superseded(fence):  # two began at the same moment: who came last to `claim` goes on
        return newer
    began, recorded = time.monotonic(), AttemptRecord(state.started or 0.0, asked_for(folder, earlier))
    recorded.write(folder.attempt(number))
    state.write(folder.state)
    saved = _saved(folder)
    held = [lock, *host.slots]
    with nullcontext() if host.execute else watching(run, job, number):  # somebody looks who debugs
        ending = execute(job, run, folder.attempt(number), requests, grace, host, held=held, place=place)
    recorded.ending_now(time.monotonic() - began).write(folder.attempt(number))
    cancelled = run.is_cancelled(name)
    if ending.out_of_time and ending.exit_code == ExitCode.PREEMPTED and not cancelled:
        ending = replace(ending, reason=f"reached its time limit of {job.resources.time} min")
        if _saved(folder) == saved:  # run again it would get no further, and that for ever
            ending = Ending(1, f"{ending.reason}, with nothing saved: give it more `time`")
    if newer := ending if ending.superseded else superseded(fence):
        return newer
    trouble = record(ended(state, ending, cancelled), folder.state)
    return replace(ending, reason="; ".join(filter(None, (ending.reason, trouble))))


def _machine(run: RunFolder, host: Host) -> Machine:
    """What this attempt runs on, and what it runs."""
    code = host.code
    if not code and not _is_contained(host):
        source = Source.read(run.path)
        copy = interpreter.HOME.name  # which is the digest, if this process runs in a run's copy of the code
        code = copy if source is not None and source.of(copy) else ""
    return Machine(machine.host(), machine.cpu(), machine.gpu_models(), host.image, code)


def _is_contained(host: Host) -> bool:
    """Whether the job's command runs in a container that this process is not in."""
    return host.python != sys.executable


def _new_attempt(job: JobFolder) -> int:
    """Number of an attempt that begins now; its folder is made, and no other attempt's even at the same moment."""
    job.attempts.mkdir(exist_ok=True)
    number = last_attempt(job)
    while True:
        number += 1
        with suppress(FileExistsError):
            job.attempt(number).mkdir()
            return number


def last_attempt(job: JobFolder) -> int:
    """Number of a job's latest attempt; 0 if it has none."""
    return max((int(entry.name) for entry in job.attempts.glob("[0-9]*")), default=0)


def _saved(job: JobFolder) -> set[str]:
    """The files and folders that a job has saved until now; what a kill left unfinished is none."""
    found = set()
    for part in (job.checkpoints, job.outputs):
        for at, folders, files in os.walk(part):
            folders[:] = [name for name in folders if not name.endswith(UNFINISHED)]
            found |= {f"{at}/{name}" for name in (*folders, *files) if not name.endswith(UNFINISHED)}
    return found


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
    requests: StopRequests,
    grace: float,
    host: Host,
    held: Sequence[int] = (),
    log_name: str = LAUNCH_LOG,
    place: Mapping[str, str] | None = None,
) -> Ending:
    """Run the job's command to its end, and end what it leaves behind.

    Args:
        folder: the attempt's.
        requests: to stop; those that came before the command begins are passed on to it at once.
        grace: seconds from the first request after which it is killed.
        held: descriptors of locks that the command holds too.
        log_name: file in `folder` for what the command itself prints.
        place: variables that say where several nodes meet.
    """
    contained = _is_contained(host)
    plugins = run.code_folder() if contained and run.plan().plugins else None
    variables = environment.of_attempt(os.environ, job.environment, folder, grace, place or {}, contained, plugins)
    if host.execute:
        return host.execute(run, job, variables)
    command = [*host.launch, *(host.python if word == "python" else word for word in job.command[:1]), *job.command[1:]]
    try:
        with (folder / log_name).open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=run.path,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=held,
            )
    except OSError as error:
        return Ending(127, f"cannot run {command[0]}: {error.strerror}")
    minutes = job.resources.time
    running = Command(process, run.job(job.name), folder, host.stop_with)
    stopping = running.wait(requests, grace, minutes * 60 if minutes else None, is_warned=host.limits_time)
    running.kill()  # what it leaves behind
    code = process.wait()
    if newer := superseded(Fence(folder)):
        return newer
    if stopping.killed:
        return Ending(128 + signal.SIGKILL, f"did not stop within {grace:g} s and was killed")
    requested = stopping.requested or requests.requested or (folder / STOPPED_MARK).exists()
    ending = explain(folder, code, requested, log_name, signals_ranks=bool(host.stop_with))
    return replace(ending, out_of_time=stopping.out_of_time)
