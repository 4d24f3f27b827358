"""The local scheduler of one run: `python -m launcher.supervisor RUN_FOLDER`.

Keeps nothing to itself: each round derives the run's view from the run folder, then starts what is ready.
Attempts are sessions of their own, so it may be killed and started again at any moment.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher import locks, machine, processes, slots
from launcher.plan import Plan
from launcher.run_folder import RunFolder
from launcher.state import JobState, Status
from launcher.status import READY, JobView, RunView, look
from locat.job_folder import ExitCode

POLL = 0.25
"""Seconds between two looks at the run folder."""
LONGEST_BACKOFF = 60.0
"""Seconds; the wait before a failed job is run again doubles from 1 s up to this."""


@dataclass
class Started:
    """An attempt runner this supervisor started: it counts as alive before it holds its lock."""

    process: subprocess.Popen[bytes]
    before: JobState


@dataclass
class Supervisor:
    """Rounds of looking and starting."""

    run: RunFolder
    plan: Plan
    cores: int = field(default_factory=machine.cores)
    started: dict[str, Started] = field(default_factory=dict)

    def watch(self) -> None:
        """Work until nothing runs and nothing more can run."""
        while self.round():
            time.sleep(POLL)

    def round(self) -> bool:
        """Start what can run now; False when nothing more can."""
        self._reap()
        view = look(self.run, self.plan)
        for job in view.having([Status.LOST]):
            if job.name not in self.started:
                self._bury(job.name, job.state, "attempt runner died")
        self._start_ready(view)
        return bool(self.started) or not view.ended

    def _reap(self) -> None:
        for name, started in list(self.started.items()):
            code = started.process.poll()
            if code is None:
                continue
            del self.started[name]
            state = self.run.state(name)
            if state != started.before:
                log(f"{name}: attempt {state.attempt} ended: {state.status} {state.reason}".rstrip())
            elif code not in (ExitCode.DONE, ExitCode.PREEMPTED):
                self._bury(name, state, f"attempt runner ended with exit code {code} before the job began")

    def _bury(self, name: str, seen: JobState, reason: str) -> None:
        """Record the end that an attempt could not write itself."""
        lock = locks.acquire(self.run.job_lock(name), patience=0)
        if lock is None:
            return
        if self.run.state(name) == seen:
            processes.send(processes.of_job(self.run.job(name)), signal.SIGKILL)
            dead = replace(seen, status=Status.FAILED, reason=reason, ended=time.time(), failures=seen.failures + 1)
            dead.write(self.run.job(name).state)
            log(f"{name}: {reason}")
        os.close(lock)

    def _start_ready(self, view: RunView) -> None:
        busy = {job.name for job in view.running} | set(self.started)
        used = sum(self.plan.job(name).resources.cpus for name in busy)
        for job in view.having(READY):
            resources = job.job.resources
            if job.name in busy or not _backoff_is_over(job.state):
                continue
            if used and used + resources.cpus > self.cores:
                continue
            # More than the machine has is not waited for: the attempt then says that the job is invalid.
            if slots.free() < resources.gpus <= len(machine.gpus()):
                continue
            self._start(job)
            used += resources.cpus

    def _start(self, job: JobView) -> None:
        log(f"{job.name}: starting" + (f" ({job.reason})" if job.reason else ""))
        process = subprocess.Popen(
            [sys.executable, "-m", "launcher.attempt", str(self.run.path), job.name],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.started[job.name] = Started(process, job.state)


def _backoff_is_over(state: JobState) -> bool:
    if state.status is not Status.FAILED or state.ended is None:
        return True
    return time.time() >= state.ended + min(2.0 ** (state.failures - 1), LONGEST_BACKOFF)


def supervise(run: RunFolder) -> int:
    """Supervise a run to its end; 1 if another supervisor does already."""
    plan = run.plan()
    first = True
    while first or not look(run, plan).ended:
        lock = locks.acquire(run.supervisor_lock)
        if lock is None:
            log("another supervisor watches this run")
            return 1
        log(f"supervisor {os.getpid()} watches {run.path}")
        Supervisor(run, plan).watch()
        status = look(run, plan).status
        log(f"nothing more to run: {status}")
        _end_parent_run(run, status)
        os.close(lock)
        # `retry` may have queued jobs after the last look and still seen the lock held: look once more.
        first = False
    return 0


def _end_parent_run(run: RunFolder, status: str) -> None:
    """Tell MLflow how the run ended; in a process of its own, since the launcher never imports MLflow."""
    if run.tracking.exists():
        outcome = {"done": "FINISHED", "failed": "FAILED"}.get(status, "KILLED")
        subprocess.run([sys.executable, "-m", "locat.engine.parent_run", str(run.path), outcome], check=False)


def log(line: str) -> None:
    """One decision, one line of supervisor.log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m launcher.supervisor", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN_FOLDER")
    return supervise(RunFolder(parser.parse_args().run.resolve()))


if __name__ == "__main__":
    sys.exit(main())
