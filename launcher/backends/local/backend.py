"""This machine: a detached supervisor per run, and processes."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

import psutil

from launcher import interpreter, locks, machine
from launcher.attempt import environment, processes
from launcher.backends.base import Backend
from launcher.backends.containers import moved
from launcher.backends.errors import BackendError
from launcher.backends.local import slots
from launcher.plan import Plan
from launcher.runs.find import check_supervised_here
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import RunView, status_from_folder
from locat.contract.errors import UserError

START_TIMEOUT = 15.0
"""Seconds a supervisor may take to come up."""
KILL_TIMEOUT = 5.0
"""Seconds an attempt runner may take to record that its job was killed."""


class LocalBackend(Backend):
    """The scheduler is `launcher.backends.local.supervisor`; what it takes is plan.json."""

    poll = 0.5
    idle = "the supervisor is not running"

    def render(self, plan: Plan) -> str:
        return plan.to_json()

    def files(self, plan: Plan) -> dict[str, str]:
        return {"plan.json": self.render(plan)}

    def check(self, plan: Plan) -> None:
        self._check_machine(plan)
        for job in plan.jobs:
            if job.resources.nodes > 1:
                raise UserError(f"job {job.name} wants {job.resources.nodes} nodes; the local backend has one")
            if job.resources.gpus > len(machine.gpus()):
                raise UserError(
                    f"job {job.name} wants {job.resources.gpus} GPUs; this machine has {len(machine.gpus())}"
                    " (set resources.gpus, or CUDA_VISIBLE_DEVICES if they are hidden)"
                )
            if trouble := moved(job):
                raise UserError(f"job {job.name}: {trouble}; the local backend mounts nothing: leave `path` out")
            for volume in job.storage:
                if not Path(volume.mount).is_dir():
                    raise UserError(f"job {job.name}: storage {volume.mount} is not a folder of this machine")

    def _check_machine(self, plan: Plan) -> None:
        """See that a supervisor and its attempts can work at all: else they would end without a word to the user."""
        slots.check()
        with contextlib.suppress(OSError):  # `submit` says what is wrong with the folder
            locks.check(plan.folder)

    def notes(self, plan: Plan) -> list[str]:
        images = sorted({job.image for job in plan.jobs if job.image})
        return [f"jobs run without the image {image}: the local backend has no containers" for image in images]

    def start(self, run: RunFolder) -> str:
        self.check(run.plan())
        check_supervised_here(run)
        supervised = run.is_supervised()
        with run.supervisor_log.open("ab") as log:
            supervisor = subprocess.Popen(
                interpreter.module("launcher.backends.local.supervisor", str(run.path)),
                cwd=run.path,  # the folder of the shell may be anybody's, and may go
                env={**environment.of_supervisor(os.environ), **run.code()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT
        while supervisor.poll() is None and not run.is_supervised():
            if time.monotonic() > deadline:
                raise BackendError(f"the supervisor did not start; see {run.supervisor_log}")
            time.sleep(0.02)
        if supervisor.poll() not in (None, 0) and not run.is_supervised():
            raise BackendError(f"the supervisor ended at once; see {run.supervisor_log}")
        return "watched already" if supervised else "started a supervisor"

    def look(self, run: RunFolder, plan: Plan) -> RunView:
        return status_from_folder(run, plan)

    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        elsewhere = {name: run.state(name).host for name in jobs if _runs_elsewhere(run, name)}
        if elsewhere:
            raise BackendError(
                f"nothing new begins, but {', '.join(elsewhere)} can be stopped only where it runs:"
                f" cancel {run.name} on {', '.join(sorted(set(elsewhere.values())))} too"
            )
        asked: set[str] = set()
        started = time.monotonic()
        while alive := [name for name in jobs if locks.is_held(run.job_lock(name))]:
            if time.monotonic() > started + grace + 2 * KILL_TIMEOUT:
                raise BackendError("; ".join(_held(run, name) for name in alive))
            for name in alive:
                if name not in asked and _ask(run, name):
                    asked.add(name)
                if time.monotonic() > started + grace:
                    processes.send(processes.of_job(run.job(name)), signal.SIGKILL)
                if time.monotonic() > started + grace + KILL_TIMEOUT:
                    processes.send(_runner(run, name), signal.SIGKILL)
            time.sleep(0.05)
        # Ranks hold no lock: torchrun may be dead and they alive.
        for name in jobs:
            processes.send(processes.of_job(run.job(name)), signal.SIGKILL)


def _held(run: RunFolder, name: str) -> str:
    """What to say of a job that was killed, and whose lock is held all the same."""
    lock = run.job_lock(name)
    pids = ", ".join(map(str, locks.holders(lock)))
    holder = f"process {pids}" if pids else "a process that is not seen from here"
    return f"job {name} was killed, but {holder} holds {lock}; end that process, then go on"


def _ask(run: RunFolder, name: str) -> bool:
    """Ask a job to stop; False if there is nobody to ask yet."""
    targets = _runner(run, name) or processes.of_job(run.job(name))
    processes.send(targets, signal.SIGTERM)
    return bool(targets)


def _runner(run: RunFolder, name: str) -> list[psutil.Process]:
    runner = processes.runner(run.job(name), run.state(name))
    return [runner] if runner else []


def _runs_elsewhere(run: RunFolder, name: str) -> bool:
    """Whether another machine runs a job, or did when last heard of: a shared file system may hide its lock."""
    state = run.state(name)
    return state.status is Status.RUNNING and state.is_elsewhere
