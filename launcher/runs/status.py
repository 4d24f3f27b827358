"""How a run stands: a pure function of its plan and of what is observed of each job."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from launcher.plan import Plan, PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Observation, Status
from locat.contract.text import printable

STOPPED = frozenset({Status.FAILED, Status.INVALID, Status.BLOCKED, Status.CANCELLED})
"""Statuses that only `launcher retry` changes, and that block the jobs downstream."""
READY = frozenset({Status.QUEUED, Status.PREEMPTED})
"""Statuses of jobs that can be started now."""


@dataclass(frozen=True)
class JobView:
    """One job as the user sees it."""

    job: PlannedJob
    status: Status
    state: JobState
    reason: str
    """Why it has this status; empty if there is nothing to say."""

    @property
    def name(self) -> str:
        return self.job.name


@dataclass(frozen=True)
class RunView:
    """A run as the user sees it: its jobs in topological order."""

    plan: Plan
    jobs: tuple[JobView, ...]
    supervised: bool
    """Whether a scheduler sees to it: a living supervisor, or a cluster's."""

    def having(self, statuses: Iterable[Status]) -> list[JobView]:
        """The jobs with one of these statuses."""
        wanted = set(statuses)
        return [job for job in self.jobs if job.status in wanted]

    @property
    def running(self) -> list[JobView]:
        return self.having([Status.RUNNING])

    @property
    def waiting(self) -> list[JobView]:
        """Jobs that go on as soon as a scheduler sees to them."""
        return self.having(READY | {Status.PENDING, Status.LOST})

    @property
    def ended(self) -> bool:
        """Whether nothing runs, and nothing will unless the user asks."""
        return not self.running and not self.waiting

    @property
    def status(self) -> str:
        """One word for the run: running, done, cancelled, failed, or stopped when no scheduler sees to it."""
        if not self.ended:
            return "running" if self.supervised else "stopped"
        if all(job.status is Status.DONE for job in self.jobs):
            return "done"
        return "failed" if self.having([Status.FAILED, Status.INVALID]) else "cancelled"

    @property
    def exit_code(self) -> int:
        """What `submit --wait` exits with: 0 all done, 2 a job's configuration is invalid, else 1."""
        if self.having([Status.INVALID]):
            return 2
        return 0 if self.status == "done" else 1


def status_from_folder(run: RunFolder, plan: Plan) -> RunView:
    """The run as its folder alone tells it: what the local backend shows."""
    return derive(plan, {job.name: run.observe(job.name) for job in plan.jobs}, run.is_supervised())


def unanswered(run: RunFolder, plan: Plan, recorded: Mapping[str, Observation], error: str) -> RunView:
    """The run as it was last recorded, taken to be still so, where its scheduler does not answer."""
    seen = {}
    for name, last in recorded.items():
        alive = last.state.status is Status.RUNNING
        note = f"as last recorded; {error}"
        seen[name] = replace(last, alive=alive, cancelled=run.is_cancelled(name), note=note)
    return derive(plan, seen, supervised=True)


def derive(plan: Plan, seen: Mapping[str, Observation], supervised: bool) -> RunView:
    """The run's view from what was observed of each job."""
    views: dict[str, JobView] = {}
    for job in plan.jobs:  # topological order: what a job needs comes before it
        status, reason = _judge(job, seen[job.name], [views[name] for name in job.needs])
        views[job.name] = JobView(job, status, seen[job.name].state, printable(reason))
    return RunView(plan, tuple(views.values()), supervised)


def _judge(job: PlannedJob, seen: Observation, needs: list[JobView]) -> tuple[Status, str]:
    state = seen.state
    if state.status is Status.DONE:
        return Status.DONE, ""
    if seen.alive:
        return Status.RUNNING, "is being cancelled" if seen.cancelled else seen.note
    if state.status in (Status.INVALID, Status.CANCELLED):
        return state.status, state.reason
    if state.status is Status.FAILED and (seen.final or state.failures > job.retries):
        return Status.FAILED, state.reason
    if seen.cancelled and not seen.unseen:
        return Status.CANCELLED, ""
    if state.status is Status.RUNNING:
        return Status.LOST, seen.note
    blocker = next((need for need in needs if need.status in STOPPED), None)
    if blocker is not None:
        return Status.BLOCKED, f"needs {blocker.name}, which is {blocker.status}"
    if not seen.scheduled:
        return Status.LOST, seen.note
    missing = [need.name for need in needs if need.status is not Status.DONE]
    if missing:
        return Status.PENDING, f"waits for {', '.join(missing)}"
    if state.status is Status.PREEMPTED:
        return Status.PREEMPTED, _joined(state.reason, seen.note)
    if state.status is Status.FAILED:
        return Status.QUEUED, _joined(f"retry {state.failures} of {job.retries} after: {state.reason}", seen.note)
    return Status.QUEUED, seen.note


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
