"""How the jobs of a run stand, from its JobSets and pods. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.api_objects import JobSet, Pod
from launcher.backends.kubernetes.causes import trouble
from launcher.backends.kubernetes.pod_template import options_of
from launcher.plan import Plan, PlannedJob
from launcher.runs.state import JobState, Observation, Status
from locat.contract.job_folder import ExitCode

ENDED = frozenset({Status.DONE, Status.FAILED, Status.INVALID})


@dataclass(frozen=True)
class Snapshot:
    """What the cluster says of a run at one moment."""

    jobsets: Mapping[str, JobSet]
    """By name."""
    pods: Mapping[str, Sequence[Pod]] = field(default_factory=dict)
    """Those that run jobs, by JobSet name."""
    advancing: Mapping[str, Sequence[Pod]] = field(default_factory=dict)
    """Those that apply what needs a job, by the job's JobSet."""
    cancelled: frozenset[str] = frozenset()
    """Jobs."""
    waits: Mapping[str, str] = field(default_factory=dict)
    """JobSet name -> why Kueue has not admitted it."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Job name in the cluster -> why its pods were not created."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def observations(plan: Plan, recorded: Mapping[str, Observation], seen: Snapshot) -> dict[str, Observation]:
    """What is known of each job; `recorded` is what was last seen of it: its JobSet may be gone by now."""
    found: dict[str, Observation] = {}
    for job in plan.jobs:
        jobset = seen.jobsets.get(names.jobset(plan.run_id, job.name))
        if jobset is not None:
            found[job.name] = _of_jobset(job, jobset, seen)
        elif recorded[job.name].state.status in ENDED:
            found[job.name] = recorded[job.name]
        else:
            found[job.name] = _absent(plan, job, recorded, seen)
    return found


def _absent(plan: Plan, job: PlannedJob, recorded: Mapping[str, Observation], seen: Snapshot) -> Observation:
    """A job without a JobSet: its turn has not come, or something is wrong."""

    def is_past(need: str) -> bool:
        """Whether it is done, and its `advance` has ended as well."""
        jobset = seen.jobsets.get(names.jobset(plan.run_id, need))
        if jobset is None:
            return recorded[need].state.status is Status.DONE
        return jobset.is_done and not jobset.is_active

    due = all(is_past(need) for need in job.needs)
    state = JobState(attempt=recorded[job.name].state.attempt)
    return Observation(state, cancelled=job.name in seen.cancelled, scheduled=not due, note="not in the cluster")


def _of_jobset(job: PlannedJob, jobset: JobSet, seen: Snapshot) -> Observation:
    name = jobset.name
    pods = sorted(seen.pods.get(name, ()), key=lambda pod: pod.index)
    restarts = jobset.status.restarts
    cancelled = job.name in seen.cancelled
    state = JobState(attempt=restarts + 1 if pods else restarts, started=_started(pods))
    if jobset.is_done:
        return Observation(replace(state, status=Status.DONE, exit_code=ExitCode.DONE, ended=_ended(jobset, pods)))
    if failed := jobset.condition("Failed"):
        codes = [each.exit_code for pod in pods for each in pod.terminated if each.exit_code]
        code = ExitCode.INVALID if ExitCode.INVALID in codes else next(iter(codes), 1)
        status = Status.INVALID if code == ExitCode.INVALID else Status.FAILED
        reason = _first(trouble(pod, seen.now) for pod in pods) or failed.message
        failures = jobset.status.restarts_count_towards_max + 1 if status is Status.FAILED else 0
        end = replace(
            state, status=status, exit_code=code, ended=_ended(jobset, pods), reason=reason, failures=failures
        )
        return Observation(end, cancelled=cancelled, final=True)
    runs = replace(state, status=Status.RUNNING)
    if advancing := seen.advancing.get(name):
        note = _first(trouble(pod, seen.now) for pod in advancing) or "runs"
        return Observation(runs, True, cancelled, note=f"has ended; its pod `advance`: {note}")
    note = _first(trouble(pod, seen.now) for pod in pods)
    running = [pod for pod in pods if pod.status.phase == "Running"]
    if running:
        nodes = sorted({pod.spec.node_name for pod in running})
        return Observation(runs, True, cancelled, note=note or f"on {', '.join(nodes)}")
    again = f"starts again, for the {restarts}. time" if restarts else ""
    note = note or _waiting(job, jobset, seen) or again
    return Observation(state, cancelled=cancelled, note=note)


def _waiting(job: PlannedJob, jobset: JobSet, seen: Snapshot) -> str:
    """Why a JobSet has no pods yet, or none that run."""
    if jobset.spec.suspend:
        queue = options_of(job).queue
        return f"waits in queue {queue}: {seen.waits.get(jobset.name, 'not admitted yet')}" if queue else "suspended"
    return seen.refused.get(f"{jobset.name}-{names.MAIN}-0", "")


def _started(pods: Sequence[Pod]) -> float | None:
    starts = [pod.status.start_time for pod in pods if pod.status.start_time]
    return min(starts).timestamp() if starts else None


def _ended(jobset: JobSet, pods: Sequence[Pod]) -> float | None:
    """When the job's pods ended; else when its JobSet did."""
    ends = [each.finished_at for pod in pods for each in pod.terminated if each.finished_at]
    terminal = jobset.condition("Completed") or jobset.condition("Failed")
    end = max(ends) if ends else terminal and terminal.last_transition_time
    return end.timestamp() if end else None


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")
