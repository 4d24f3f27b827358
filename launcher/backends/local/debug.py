"""`--backend debug`: each job in the process of `launcher submit` itself, so that a breakpoint stops in this terminal.

Also the smallest of the backends that come with the project: what a new one must have, and nothing else.
"""

import importlib
import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import chdir, contextmanager, suppress
from pathlib import Path

from launcher import locks
from launcher.attempt.ending import Ending
from launcher.attempt.host import Host
from launcher.attempt.run import attempt
from launcher.backends.base import Backend
from launcher.backends.containers import moved
from launcher.backends.errors import BackendError
from launcher.notify.urls import notifications
from launcher.plan import Plan, PlannedJob
from launcher.runs import mlflow_sync
from launcher.runs.folder import RunFolder
from launcher.runs.status import READY, RunView, status_from_folder
from locat.contract.errors import UserError
from locat.contract.job_folder import ExitCode
from locat.contract.source import Source

KILL_TIMEOUT = 5.0
"""Seconds the kernel may take to end what was killed."""


class DebugBackend(Backend):
    """The scheduler is the loop in `start`: one job after the other, each as one rank, until one is not done."""

    poll = 0.5
    runs_here = True
    idle = "no shell runs its jobs"

    def render(self, plan: Plan) -> str:
        return plan.to_json()

    def files(self, plan: Plan) -> dict[str, str]:
        return {"plan.json": self.render(plan)}

    def check(self, plan: Plan) -> None:
        for job in plan.jobs:
            if trouble := moved(job):
                raise UserError(f"job {job.name}: {trouble}; the debug backend mounts nothing: leave `path` out")
        sharded = [job.name for job in plan.jobs if _strategy(job) == "deepspeed"]
        if len(sharded) > 1:  # it keeps the process groups that it made for the first
            raise UserError(
                f"jobs {', '.join(sharded)}: DeepSpeed trains one job in a process, and the debug backend has one;"
                " give the others `strategy: ddp`"
            )

    def notes(self, plan: Plan) -> list[str]:
        several = [job.name for job in plan.jobs if job.resources.nodes * job.resources.processes > 1]
        notes = [f"jobs run as one rank instead of several: {', '.join(several)}"] if several else []
        images = sorted({job.image for job in plan.jobs if job.image})
        return [
            *notes,
            *(["`notify` has no effect: who debugs is there"] if notifications(plan) else []),
            *(f"jobs run without the image {image}: the debug backend has no containers" for image in images),
        ]

    def start(self, run: RunFolder) -> str:
        lock = locks.acquire(run.supervisor_lock)
        if lock is None:
            return "another shell runs its jobs already"
        try:
            plan, source = run.plan(), Source.read(run.path)
            host = Host(execute=_here, code=source.digest if source else "")
            while ready := self.look(run, plan).having(READY):
                name = ready[0].name
                print(f"{name}: runs in this process", flush=True)
                if attempt(run, name, host=host).exit_code != ExitCode.DONE:
                    break  # even if it has retries left: somebody is looking
            view = self.look(run, plan)
            if run.tracking.exists():
                mlflow_sync.sync(run, view)  # how the run ended, and what jobs could not send
        finally:
            os.close(lock)
        return f"ran until a job was not done: {view.status}" if not view.ended or view.exit_code else "ran every job"

    def look(self, run: RunFolder, plan: Plan) -> RunView:
        return status_from_folder(run, plan)

    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        started = time.monotonic()
        asked: set[int] = set()
        while holders := {pid for name in jobs for pid in locks.holders(run.job_lock(name))}:
            waited = time.monotonic() - started
            if waited > grace + KILL_TIMEOUT:
                raise BackendError(f"{run.name}: process {', '.join(map(str, holders))} was killed and has not ended")
            for pid in holders if waited > grace else holders - asked:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if waited > grace else signal.SIGTERM)
            asked |= holders
            time.sleep(0.1)


def _here(run: RunFolder, job: PlannedJob, variables: dict[str, str]) -> Ending:
    """Run a job in this process, as its only rank; Ctrl-C ends it where it is, in a debugger or not."""
    config = job.command[-1]
    with chdir(run.path), _environment(variables), _signals():
        try:
            code, reason = importlib.import_module("locat.__main__").run(Path(config))
        except KeyboardInterrupt:
            return Ending(ExitCode.PREEMPTED, "stopped by Ctrl-C")
    return Ending(code, reason)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextmanager
def _signals() -> Iterator[None]:
    """Ctrl-C is the user's again; what the job makes of the other requests to stop ends with it."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _strategy(job: PlannedJob) -> object:
    strategy = job.config.get("strategy")
    return strategy.get("name") if isinstance(strategy, dict) else strategy
