"""The local scheduler of one run: `python -m launcher.backends.local.supervisor RUN_FOLDER`.

Keeps nothing to itself: it derives the run's view from the run folder, then starts what is ready.
Attempts are sessions of their own, so it may be killed and started again at any moment.

The end of a child wakes it. For what others may change it looks at the times of a few folders, once a second.
"""

import argparse
import contextlib
import errno
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from launcher import interpreter, locks, machine
from launcher.attempt import processes
from launcher.backends.local.slots import Counter, Slots
from launcher.notify import start as notify
from launcher.plan import Plan
from launcher.runs import mlflow_sync
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.runs.status import READY, JobView, RunView, status_from_folder
from locat.contract import clock
from locat.contract.errors import UserError
from locat.contract.job_folder import ExitCode
from locat.contract.text import printable, speak

POLL = 1.0
"""Seconds between two looks for what others did: a user, another run, an attempt that is no child."""
SHORTAGES = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT}
)
"""Errors of a machine that has too little of something just now, or of a file server that is away: they pass."""
LOOK_ANYWAY = 60.0
"""Seconds after which the whole run folder is read, whether or not something seems to have changed."""


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
    started: dict[str, Started] = field(default_factory=dict)
    pausing: dict[str, tuple[JobState, float]] = field(default_factory=dict)
    """Job -> how it was last seen to have ended, and when (monotonic clock)."""
    slots: Counter = field(default_factory=Counter)
    shortage: int | None = field(default=None, init=False)
    """The error of the last round, if it was left for later."""
    view: RunView | None = field(default=None, init=False)
    looked: float = field(default=0.0, init=False)
    changed: dict[str, int] = field(default_factory=dict, init=False)
    """When the folder of each job (and of the run, called "") had last changed before the view was taken."""

    def watch(self) -> None:
        """Work until nothing runs and nothing more can run."""
        with _ends_of_children() as ended:
            while self._round_if_possible():
                select.select([ended], [], [], self._pause())
                with contextlib.suppress(BlockingIOError):
                    os.read(ended, 4096)

    def _round_if_possible(self) -> bool:
        """A round; one that the machine has no room, memory or processes for is left for later."""
        try:
            goes_on = self.round()
        except OSError as error:
            if not self.run.exists():
                return False
            if error.errno not in SHORTAGES:
                raise
            if self.shortage != error.errno:
                log(f"{error}; tried again every {POLL:g} s")
            self.shortage, self.view = error.errno, None
            return True
        self.shortage = None
        return goes_on

    def round(self) -> bool:
        """Start what can run now; False when nothing more can."""
        reaped = self._reap()
        view = self.view
        if view is None or reaped or self._is_stale(view):
            view = self.view = self._look()
        self._start_ready(view)
        return bool(self.started) or not view.ended

    def _look(self) -> RunView:
        self.looked = time.monotonic()
        self.changed = {name: self._changed(name) for name in ("", *(job.name for job in self.plan.jobs))}
        view = status_from_folder(self.run, self.plan)
        # What another machine may still run is that one's to end, or the user's to take over.
        dead = [job for job in view.having([Status.LOST]) if not job.state.is_elsewhere]
        lost = [job for job in dead if job.name not in self.started]
        for job in lost:
            self._end(job.name, job.state, Status.FAILED, f"attempt runner died: {job.reason}")
        return status_from_folder(self.run, self.plan) if lost else view

    def _is_stale(self, view: RunView) -> bool:
        """Whether something may have changed that no child's end tells."""
        if time.monotonic() > self.looked + LOOK_ANYWAY or self._changed("") != self.changed[""]:
            return True
        for job in view.jobs:
            if job.status is Status.DONE or job.name in self.started:
                continue
            if job.status is Status.RUNNING:  # it was started by an earlier supervisor
                if not locks.is_held(self.run.job_lock(job.name)):
                    return True
            elif self._changed(job.name) != self.changed[job.name]:
                return True
        return False

    def _changed(self, job: str) -> int:
        """When a state, marker or lock was last made, replaced or removed: time of the folder."""
        return os.stat(f"{self.run.path}/jobs/{job}" if job else self.run.path).st_mtime_ns

    def _pause(self) -> float:
        """Seconds to sleep if no child ends."""
        waits = [self._rest(job.name, job.state) for job in self.view.having(READY)] if self.view else []
        return min([POLL, *(wait for wait in waits if wait > 0)])

    def _rest(self, name: str, state: JobState) -> float:
        """Seconds of its pause that a job must still wait: since it ended, or since this supervisor has known it where
        the clock was set back meanwhile."""
        if not state.pause or state.ended is None:
            return 0.0
        if self.pausing.get(name, (None, 0.0))[0] != state:
            self.pausing[name] = state, time.monotonic()
        past = max(clock.since(state.ended), time.monotonic() - self.pausing[name][1])
        return state.pause - past

    def _reap(self) -> bool:
        """Whether children have ended; what they could not record themselves is recorded."""
        ended = {name: started for name, started in self.started.items() if started.process.poll() is not None}
        for name, started in ended.items():
            del self.started[name]
            state = self.run.state(name)
            code = started.process.returncode
            if state != started.before:
                log(f"{name}: attempt {state.attempt} ended: {state.status} {state.reason}".rstrip())
            elif code not in (ExitCode.DONE, ExitCode.PREEMPTED):
                reason = f"attempt runner ended with exit code {code} before the job began"
                self._end(name, state, Status.FAILED, reason)
        return bool(ended)

    def _end(self, name: str, seen: JobState, status: Status, reason: str) -> None:
        """Record the end that an attempt could not write itself."""
        lock = locks.acquire(self.run.job_lock(name), patience=0)
        if lock is None:
            return
        if self.run.state(name) == seen:
            processes.send(processes.of_job(self.run.job(name)), signal.SIGKILL)
            failures = seen.failures + (status is Status.FAILED)
            dead = replace(seen, status=status, reason=reason, ended=time.time(), failures=failures)
            dead.write(self.run.job(name).state)
            log(f"{name}: {reason}")
        os.close(lock)
        notify.start(self.run)

    def _start_ready(self, view: RunView) -> None:
        ready = [
            job for job in view.having(READY) if job.name not in self.started and self._rest(job.name, job.state) <= 0
        ]
        self.slots.forget_all_but({job.name for job in ready})
        for job in ready:
            gpus = job.job.resources.gpus
            if gpus and gpus > len(machine.gpus()):
                reason = f"wants {gpus} GPUs, {gpus - len(machine.gpus())} more than this machine has"
                self._end(job.name, job.state, Status.INVALID, reason)
            elif slots := self.slots.take(job.name, job.job.resources):
                self._start(job, slots)

    def _start(self, job: JobView, slots: Slots) -> None:
        """Start an attempt, which takes the slots over: they stay its own if this supervisor dies."""
        log(f"{job.name}: starting" + (f" ({job.reason})" if job.reason else ""))
        held = ",".join(map(str, slots.descriptors))
        try:
            process = subprocess.Popen(
                interpreter.module("launcher.attempt", "--slots", held, str(self.run.path), job.name),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                # `retry --code now` may have given the run other code; a job without GPUs sees none
                env={**os.environ, **self.run.code(), "CUDA_VISIBLE_DEVICES": ",".join(slots.gpus)},
                pass_fds=slots.descriptors,
            )
        finally:
            slots.close()
        self.started[job.name] = Started(process, job.state)


@contextlib.contextmanager
def _ends_of_children() -> Iterator[int]:
    """A descriptor that can be read from when a child has ended."""
    readable, writable = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    earlier = signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    try:
        yield readable
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, earlier)
        os.close(readable)
        os.close(writable)


def supervise(run: RunFolder) -> int:
    """Supervise a run to its end; 1 if another supervisor does already."""
    plan = run.plan()
    first = True
    while first or not status_from_folder(run, plan).ended:
        lock = locks.acquire(run.supervisor_lock)
        if lock is None:
            log("another supervisor watches this run")
            return 1
        os.ftruncate(lock, 0)
        os.pwrite(lock, machine.identity().encode(), 0)  # for those who do not see the lock
        log(f"supervisor {os.getpid()} watches {run.path}")
        Supervisor(run, plan).watch()
        if not run.exists():
            log("the run's folder was deleted")
            return 1
        view = status_from_folder(run, plan)
        log(f"nothing more to run: {view.status}")
        notify.start(run)
        if run.tracking.exists():
            mlflow_sync.sync(run, view)  # how the run ended, and what killed jobs could not send
        os.ftruncate(lock, 0)
        os.close(lock)
        # `retry` may have queued jobs after the last look and still seen the lock held: look once more.
        first = False
    return 0


def log(line: str) -> None:
    """One decision, one line of supervisor.log; none where that has no room."""
    with contextlib.suppress(OSError):
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(line)}", flush=True)


def main() -> int:
    speak()
    parser = argparse.ArgumentParser(prog="python -m launcher.backends.local.supervisor", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN_FOLDER")
    run = RunFolder(parser.parse_args().run.resolve())
    try:
        return supervise(run)
    except UserError as error:  # such as a plan that a newer launcher wrote
        log(str(error))
        return ExitCode.INVALID
    except OSError as error:
        log(f"this supervisor cannot go on: {error}" if run.exists() else "the run's folder was deleted")
        return 1


if __name__ == "__main__":
    sys.exit(main())
