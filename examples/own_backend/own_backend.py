"""A backend that runs jobs on this machine, one after the other, while `launcher submit` waits for them."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from typing import Annotated

from pydantic import Field

from launcher import locks
from launcher.attempt import processes
from launcher.backends.base import Backend
from launcher.language.words import BackendOptions
from launcher.plan import Plan, PlannedJob
from launcher.runs import mlflow_sync
from launcher.runs.folder import RunFolder
from launcher.runs.status import READY, RunView, status_from_folder
from locat.contract.errors import UserError


class ForegroundOptions(BackendOptions):
    """What a pipeline may say under `options.foreground`."""

    niceness: Annotated[int, Field(ge=0, le=19)] = 0
    """How far jobs give way to other processes."""


class ForegroundBackend(Backend):
    """The scheduler is the loop in `start`."""

    poll = 0.5
    idle = "no shell runs its jobs"

    def render(self, plan: Plan) -> str:
        return "".join(f"{shlex.join(command(plan, job))}\n" for job in plan.jobs)

    def files(self, plan: Plan) -> dict[str, str]:
        return {"run.sh": self.render(plan)}

    def check(self, plan: Plan) -> None:
        for job in plan.jobs:
            if job.resources.nodes > 1:
                raise UserError(f"job {job.name} wants {job.resources.nodes} nodes; the foreground backend has one")

    def notes(self, plan: Plan) -> list[str]:
        images = sorted({job.image for job in plan.jobs if job.image})
        return [f"jobs run without the image {image}: the foreground backend has no containers" for image in images]

    def start(self, run: RunFolder) -> str:
        lock = locks.acquire(run.supervisor_lock)
        if lock is None:
            return "another shell runs its jobs already"
        try:
            plan = run.plan()
            while ready := self.look(run, plan).having(READY):
                run_once(run, plan, ready[0].job)
            view = self.look(run, plan)
            if run.tracking.exists():
                mlflow_sync.sync(run, view)  # how the run ended, and what killed jobs could not send
        finally:
            os.close(lock)
        return f"ran until nothing was left to run: {view.status}"

    def look(self, run: RunFolder, plan: Plan) -> RunView:
        return status_from_folder(run, plan)

    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        deadline = time.monotonic() + grace
        asked: set[str] = set()
        while alive := [name for name in jobs if locks.is_held(run.job_lock(name))]:
            for name in alive:
                runner = processes.runner(run.job(name), run.state(name))
                if time.monotonic() > deadline:
                    processes.send(processes.of_job(run.job(name)), signal.SIGKILL)
                elif runner and name not in asked:
                    asked.add(name)
                    processes.send([runner], signal.SIGTERM)
            time.sleep(0.1)


def command(plan: Plan, job: PlannedJob) -> list[str]:
    """What runs one attempt of a job."""
    options = ForegroundOptions.model_validate(job.options.get("foreground", {}))
    nice = ["nice", "-n", str(options.niceness)] if options.niceness else []
    return [*nice, sys.executable, "-P", "-m", "launcher.attempt", str(plan.folder), job.name]


def run_once(run: RunFolder, plan: Plan, job: PlannedJob) -> None:
    """Run one attempt to its end; Ctrl-C asks it to stop."""
    print(f"{job.name}: running", flush=True)
    before = run.state(job.name)
    # With the run's own code, whatever was edited since; in a session of its own, or else Ctrl-C would reach it twice.
    variables = {**os.environ, **run.code()}
    attempt = subprocess.Popen(command(plan, job), env=variables, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code = attempt.wait()
    except KeyboardInterrupt:
        attempt.terminate()
        attempt.wait()
        raise
    if run.state(job.name) == before and not run.is_cancelled(job.name):
        raise UserError(f"{job.name}: the attempt runner ended with exit code {code} and began nothing")
