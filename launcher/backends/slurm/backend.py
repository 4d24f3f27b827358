"""Slurm: batch scripts that run attempts, dependencies between them, and nothing of ours that stays running."""

import os
import re
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from launcher import locks
from launcher.backends.base import Backend, NoAnswerError
from launcher.backends.checks import Check
from launcher.backends.containers import moved
from launcher.backends.errors import BackendError
from launcher.backends.slurm import queue
from launcher.backends.slurm.batches import Batch, batches
from launcher.backends.slurm.queue import Entry, SlurmError
from launcher.backends.slurm.script import decided, options_of, program, script
from launcher.plan import Plan
from launcher.runs.folder import RunFolder
from launcher.runs.state import Observation, Status
from launcher.runs.status import RunView, derive, unanswered
from locat.contract.errors import UserError

STOP_POLL = 1.0
"""Seconds between two looks at jobs that are being stopped."""
END_TIMEOUT = 60.0
"""Seconds Slurm may take to end jobs it was told to kill."""
_UNRUN = frozenset({Status.QUEUED, Status.PREEMPTED, Status.FAILED})


class SlurmBackend(Backend):
    """The scheduler is Slurm; what it takes are the scripts that `render` shows."""

    poll = 5.0

    def render(self, plan: Plan) -> str:
        return program(plan, batches(plan, {job.name for job in plan.jobs}), known={})

    def files(self, plan: Plan) -> dict[str, str]:
        return {"submit.sh": self.render(plan)}

    def check(self, plan: Plan) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.,:/@%+= -]+", str(plan.folder)):
            raise UserError(f"{plan.folder}: Slurm needs a path of plain characters; give another with --runs-dir")
        for job in plan.jobs:
            if not options_of(job).container and (trouble := moved(job)):
                raise UserError(f"job {job.name}: {trouble}; without options.slurm.container nothing is mounted")
        tried = []
        for job in plan.jobs:
            if (job.resources, job.options) in tried:
                continue
            tried.append((job.resources, job.options))
            try:
                batch = Batch(job.name, job.name, (job,), ())
                queue.ask(["sbatch", "--test-only"], script(plan, batch), decided=decided(plan.jobs))
            except SlurmError as error:
                raise BackendError(f"job {job.name} cannot run on this cluster: {error}") from None

    def notes(self, plan: Plan) -> list[str]:
        without = sorted({job.image for job in plan.jobs if job.image and not options_of(job).container})
        return [f"jobs run without the image {image}: options.slurm.container says how to use one" for image in without]

    def checks(self) -> Iterator[Check]:
        try:
            partitions = queue.ask(["sinfo", "--noheader", "--format=%P"]).split()
            version = queue.ask(["sinfo", "--version"]).strip()
        except SlurmError as error:
            yield Check("Slurm", False, str(error), "log in to a node of the cluster, or install Slurm's commands")
        else:
            yield Check("Slurm", True, f"{version}, partitions: {', '.join(partitions) or 'none'}", "")

    def start(self, run: RunFolder) -> str:
        lock = locks.acquire(run.path / "submit.lock")
        if lock is None:
            raise SlurmError(f"{run.name} is being submitted to Slurm just now; look at it again when that has ended")
        try:
            return self._submit(run, lock)
        finally:
            os.close(lock)

    def _submit(self, run: RunFolder, lock: int) -> str:
        """Submit what Slurm does not have; the shell that does it holds the lock too, should this process die."""
        plan = run.plan()
        entries = queue.entries(plan, queue.lines(_owner(run)))
        view = _view(run, plan, entries)
        names = {job.name for job in view.waiting if not _is_active(entries.get(job.name))}
        for job in plan.jobs:
            # What waits in the queue for a job that is submitted anew waits for the old one, in vain.
            if job.name in entries and entries[job.name].is_waiting and names.intersection(job.needs):
                names.add(job.name)
        if not names:
            return "in Slurm's queue already"
        stale = [entry.id for name, entry in entries.items() if name in names and entry.state in queue.WAITING]
        if stale:
            _signal(stale)
        active = {name: entry.id for name, entry in entries.items() if entry.is_active and name not in names}
        todo = batches(plan, names, active, arrays=len(names) == len(plan.jobs))
        needed = {need for name in names for need in plan.job(name).needs}
        known = {name: slurm_id for name, slurm_id in active.items() if name in needed}
        try:
            text, patience = program(plan, todo, known), queue.TIMEOUT + len(names)
            queue.ask(["bash", "-s"], text, patience, held=[lock], decided=decided(plan.jobs))
        except SlurmError as error:
            remedy = f"some jobs may be in the queue: `launcher retry {run.name}` adds the rest"
            raise SlurmError(f"{error}; {remedy}") from None
        return f"submitted to Slurm: {', '.join(job.name for job in plan.jobs if job.name in names)}"

    def look(self, run: RunFolder, plan: Plan) -> RunView:
        return self.look_all([(run, plan)])[0]

    def look_all(self, runs: Sequence[tuple[RunFolder, Plan]]) -> list[RunView]:
        answers: dict[int, list[str] | SlurmError] = {}  # of each user; a queue that is silent is asked once
        views = []
        for run, plan in runs:
            recorded = {job.name: Observation(run.state(job.name)) for job in plan.jobs}
            if all(last.state.status is Status.DONE for last in recorded.values()):
                views.append(_view(run, plan, {}))  # nothing to ask about
                continue
            user = _owner(run)
            if user not in answers:
                silent = (each for each in answers.values() if isinstance(each, NoAnswerError))
                answers[user] = next(silent, None) or _ask(user)
            answer = answers[user]
            if isinstance(answer, SlurmError):
                views.append(unanswered(run, plan, recorded, str(answer)))
            else:
                views.append(_view(run, plan, queue.entries(plan, answer)))
        return views

    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        plan = run.plan()
        deadline = time.monotonic() + grace
        asked: set[str] = set()
        killed = False
        while active := self._active(run, plan, jobs):
            waiting = [entry.id for entry in active if entry.is_waiting]
            running = [entry.id for entry in active if entry.state == "RUNNING" and entry.id not in asked]
            if waiting:
                _signal(waiting)
            if running:
                _signal(running, "--batch", "--signal=USR1")
                asked.update(running)
            if time.monotonic() > deadline and not killed:
                killed = True
                _signal([entry.id for entry in active])
            if time.monotonic() > deadline + END_TIMEOUT:
                raise BackendError(f"Slurm has not ended {', '.join(entry.id for entry in active)} yet; see squeue")
            time.sleep(STOP_POLL)

    def _active(self, run: RunFolder, plan: Plan, jobs: Collection[str]) -> list[Entry]:
        entries = queue.entries(plan, queue.lines(_owner(run)))
        return [entry for name, entry in entries.items() if name in jobs and entry.is_active]


def _ask(user: int) -> list[str] | SlurmError:
    """What the queue says of a user's jobs, or why it says nothing."""
    try:
        return queue.lines(user)
    except SlurmError as error:
        return error


def _is_active(entry: Entry | None) -> bool:
    return entry is not None and entry.is_active


def _signal(ids: list[str], *options: str) -> None:
    """scancel jobs that may end meanwhile."""
    try:
        queue.ask(["scancel", "--quiet", *options, *ids])
    except SlurmError as error:
        if "Invalid job id" not in str(error) and "already completing" not in str(error):
            raise


def _owner(run: RunFolder) -> int:
    """Who submitted a run, whoever asks now."""
    return run.path.stat().st_uid


def _view(run: RunFolder, plan: Plan, entries: dict[str, Entry]) -> RunView:
    seen = {job.name: _observation(run, job.name, entries.get(job.name)) for job in plan.jobs}
    return derive(plan, seen, supervised=any(entry.is_active for entry in entries.values()))


def _observation(run: RunFolder, name: str, entry: Entry | None) -> Observation:
    """What the folder and the queue tell about a job; locks are left alone, other nodes may not see them."""
    state = run.state(name)
    cancelled = run.is_cancelled(name)
    if entry and entry.is_running:
        return Observation(state, True, cancelled, note=str(entry))
    if entry and entry.is_waiting:
        if state.status is Status.RUNNING:  # its node died, so that nobody wrote an end
            state = replace(state, status=Status.PREEMPTED, reason="its node failed")
        return Observation(state, False, cancelled, note=str(entry))
    if state.status is Status.RUNNING and not cancelled:
        # The attempt was ended from outside, and nothing will run it again.
        reason = str(entry) if entry else "Slurm does not know it any more, and no end was recorded"
        failed = replace(state, status=Status.FAILED, reason=reason, failures=state.failures + 1)
        return Observation(failed, final=True)
    note = str(entry) if entry else "not in Slurm's queue"
    return Observation(state, False, cancelled, scheduled=state.status not in _UNRUN, note=note)
