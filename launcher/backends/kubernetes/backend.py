"""Kubernetes: a JobSet per job, whose last pod applies those that can now begin. Nothing of ours stays running."""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from launcher.backends.base import Backend, Places
from launcher.backends.checks import Check
from launcher.backends.errors import BackendError
from launcher.backends.kubernetes import allowance, doctor, history, names
from launcher.backends.kubernetes.api_objects import Pod
from launcher.backends.kubernetes.cluster import Cluster, Forbidden, KubernetesError, UnansweredError
from launcher.backends.kubernetes.config_maps import CANCELLED, ELSEWHERE, config_maps, of_others
from launcher.backends.kubernetes.logs import lines
from launcher.backends.kubernetes.manifests import jobset, manifest_files, objects
from launcher.backends.kubernetes.network import policies
from launcher.backends.kubernetes.observe import ENDED, Snapshot, observations
from launcher.backends.kubernetes.pod_template import options_of
from launcher.backends.kubernetes.readable_yaml import to_yaml
from launcher.backends.kubernetes.watch import Changes
from launcher.plan import Plan
from launcher.runs.create import create
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Observation, Status
from launcher.runs.status import RunView, derive, unanswered
from locat.contract import durable
from locat.contract.errors import UserError

STOP_POLL = 1.0
"""Seconds between two looks at JobSets that are being deleted."""
END_TIMEOUT = 120.0
"""Seconds pods may take to be gone once they were killed."""


class KubernetesBackend(Backend):
    """The scheduler is Kubernetes, by JobSet and perhaps Kueue; what it takes are the objects that `render` shows."""

    poll = 10.0
    takes_environment = False  # a Secret has them; whether it does is seen when pods start

    def __init__(self) -> None:
        self._changes: dict[Path, Changes] = {}

    def places(self, runs: Path) -> Places:
        return Places(names.POD_RUNS, names.MLFLOW, sees_folders=False)

    def render(self, plan: Plan) -> str:
        return to_yaml(objects(plan))

    def files(self, plan: Plan) -> dict[str, str]:
        return manifest_files(plan)

    def check(self, plan: Plan) -> None:
        for job in plan.jobs:
            if not job.image:
                raise UserError(f"job {job.name} has no image; set `image`, in `defaults` or beside its `config`")
            for volume in job.storage:
                if not (volume.claim or volume.source):
                    raise UserError(
                        f"job {job.name}: storage {volume.mount} names neither a `claim` nor a `volume`; pods see no"
                        " folder of this machine"
                    )
        cluster = Cluster()
        tried = []
        for job in plan.jobs:
            shape = (job.resources, job.options, job.storage, job.image)
            if shape not in tried:
                tried.append(shape)
                cluster.apply(jobset(plan, job, [names.plan(plan.run_id)]), dry_run=True)
        with suppress(Forbidden):  # who may not read it learns when `advance` is refused
            if allowance.ACCOUNTS in (annotations := cluster.annotations()):
                allowance.check(plan, annotations)

    def start(self, run: RunFolder) -> str:
        plan = run.plan()
        cluster = _cluster(run)
        maps = config_maps(plan)
        parts = [each["metadata"]["name"] for each in maps]
        view = self.look(run, plan)
        there = {each.name for each in cluster.jobsets(run.name)}
        done = {job.name for job in view.having([Status.DONE])}
        ready = [
            job.job
            for job in view.waiting
            if names.jobset(run.name, job.name) not in there and done.issuperset(job.job.needs)
        ]
        cluster.apply_all([*maps, *policies(plan)])  # before the pods that need them
        cluster.apply_all([jobset(plan, job, parts) for job in ready])
        return f"applied: {', '.join(job.name for job in ready)}" if ready else "in the cluster already"

    def look(self, run: RunFolder, plan: Plan) -> RunView:
        recorded = _recorded(run, plan)
        if all(last.state.status is Status.DONE for last in recorded.values()):
            return derive(plan, observations(plan, recorded, Snapshot({})), supervised=False)
        seen = _snapshot(run, plan, _cluster(run))
        found = observations(plan, recorded, seen)
        # What failed and is being deleted is about to be run again: `retry` forgets how it ended.
        leaving = {each.job for each in seen.jobsets.values() if each.metadata.deletion_timestamp and not each.is_done}
        states = {name: each.state for name, each in found.items() if each.state.status in ENDED}
        new = {name: state for name, state in states.items() if state != recorded[name].state and name not in leaving}
        if new:
            history.record(run, new)
        waiting = any(each.is_active for each in seen.jobsets.values())
        return derive(plan, found, supervised=waiting)

    def look_all(self, runs: Sequence[tuple[RunFolder, Plan]]) -> list[RunView]:
        silent: dict[bytes, UnansweredError] = {}
        return [self._look_or_recall(run, plan, silent) for run, plan in runs]

    def _look_or_recall(self, run: RunFolder, plan: Plan, silent: dict[bytes, UnansweredError]) -> RunView:
        """A run may be of a cluster that is gone, or that this user has no access to any more.

        Args:
            silent: clusters that did not answer just now, and are not waited for once more.
        """
        where = _file(run).read_bytes() if _file(run).exists() else b""
        try:
            if where in silent:
                raise silent[where]
            return self.look(run, plan)
        except KubernetesError as error:
            if isinstance(error, UnansweredError):
                silent[where] = error
            return unanswered(run, plan, _recorded(run, plan), str(error))

    def checks(self) -> Iterator[Check]:
        return doctor.checks(Cluster())

    def adopt(self, runs: Path) -> None:
        cluster = Cluster().where()
        for run_id, data in cluster.plans().items():
            if not (runs / run_id).exists() and (plan := of_others(run_id, data)):
                _record(create(plan, ELSEWHERE, runs), cluster)

    def wait(self, run: RunFolder) -> None:
        if run.path not in self._changes:
            self._changes[run.path] = Changes(_cluster(run), run.name)
        self._changes[run.path].wait(self.poll)

    def log(
        self, run: RunFolder, job: str, rank: int | None, attempt: int | None, follow: bool
    ) -> Iterator[str] | None:
        plan = run.plan()
        return lines(_cluster(run), plan, plan.job(job), rank, attempt, follow)

    def ended(self, run: RunFolder) -> Mapping[str, JobState]:
        return history.recorded(run)

    def forget(self, run: RunFolder, jobs: Collection[str]) -> None:
        cluster = _cluster(run)
        _mark_cancelled(run, cluster, lambda marked: marked.difference(jobs))
        failed = [each for each in cluster.jobsets(run.name) if each.condition("Failed") and not each.is_done]
        _delete(run, cluster, {each.name for each in failed if each.job in jobs}, grace=0)
        history.record(run, {}, forgotten=jobs)

    def stop(self, run: RunFolder, jobs: Collection[str], grace: float) -> None:
        plan = run.plan()
        cluster = _cluster(run)
        # First the mark, then again and again what is there: an `advance` that began before may apply another one.
        _mark_cancelled(run, cluster, lambda marked: marked.union(jobs))
        mine = {names.jobset(plan.run_id, job) for job in jobs}
        needed = {names.jobset(plan.run_id, need) for job in jobs for need in plan.job(job).needs}
        unaware = _advancing(run, cluster, needed)
        deadline = time.monotonic() + grace + END_TIMEOUT
        while True:
            unaware &= _advancing(run, cluster, needed)
            alive = {each.name for each in cluster.jobsets(run.name) if each.is_active} & mine
            if alive:
                _delete(run, cluster, alive, grace)
            elif not unaware:
                return
            elif time.monotonic() > deadline:
                pods = ", ".join(sorted(unaware))
                raise BackendError(f"{pods} may yet apply what was cancelled; see `kubectl get pods`, cancel again")
            else:
                time.sleep(STOP_POLL)


def _cluster(run: RunFolder) -> Cluster:
    """Where a run is; recorded when it is first asked."""
    file = _file(run)
    if not file.exists():
        _record(run, Cluster().where())
    return Cluster(**json.loads(file.read_text()))


def _record(run: RunFolder, cluster: Cluster) -> None:
    durable.write_json(_file(run), asdict(cluster))


def _file(run: RunFolder) -> Path:
    return run.path / "cluster.json"


def _snapshot(run: RunFolder, plan: Plan, cluster: Cluster) -> Snapshot:
    cancelled = _cancelled(run, cluster)
    jobsets, all_pods = cluster.jobsets_and_pods(run.name)
    told = {pod.jobset for pod in all_pods if pod.terminated}
    if any(each.condition("Failed") and each.name not in told for each in jobsets):
        all_pods = cluster.pods(run.name)  # the first answer may be older than such an end
    pods: dict[str, list[Pod]] = {}
    advancing: dict[str, list[Pod]] = {}
    for pod in all_pods:
        of_its_kind = pods if pod.is_main else advancing
        of_its_kind.setdefault(pod.jobset, []).append(pod)
    idle = [each for each in jobsets if each.is_active and each.name not in pods]
    queued = any(options_of(job).queue for job in plan.jobs) and any(each.spec.suspend for each in idle)
    return Snapshot(
        {each.name: each for each in jobsets},
        pods,
        advancing,
        cancelled=cancelled | {job.name for job in plan.jobs if run.is_cancelled(job.name)},
        waits=cluster.quota_waits() if queued else {},
        refused=cluster.failed_creations() if any(not each.spec.suspend for each in idle) else {},
    )


def _recorded(run: RunFolder, plan: Plan) -> dict[str, Observation]:
    """How jobs ended, and of the others what `retry` left."""
    ends = {name: Observation(state, final=True) for name, state in history.recorded(run).items()}
    return {job.name: ends.get(job.name) or Observation(run.state(job.name)) for job in plan.jobs}


def _cancelled(run: RunFolder, cluster: Cluster) -> frozenset[str]:
    plan = cluster.config_map(names.plan(run.name)) or {}
    return frozenset(plan.get(CANCELLED, "").splitlines())


def _mark_cancelled(run: RunFolder, cluster: Cluster, change: Callable[[frozenset[str]], frozenset[str]]) -> None:
    def changed(marked: str) -> str:
        return "\n".join(sorted(change(frozenset(marked.splitlines()))))

    cluster.change_data(names.plan(run.name), CANCELLED, changed)


def _advancing(run: RunFolder, cluster: Cluster, jobsets: Collection[str]) -> set[str]:
    """Pods that apply what needs one of these JobSets' jobs, and have begun."""
    theirs = [pod for pod in cluster.pods(run.name) if not pod.is_main and pod.jobset in jobsets]
    return {pod.name for pod in theirs if pod.spec.node_name and pod.status.phase in ("Pending", "Running")}


def _delete(run: RunFolder, cluster: Cluster, jobsets: Collection[str], grace: float) -> None:
    """Delete JobSets and wait until they are gone; after `grace` seconds their pods are killed."""
    for name in jobsets:
        cluster.delete_jobset(name)
    deadline = time.monotonic() + grace
    killed: set[str] = set()
    while left := {each.name for each in cluster.jobsets(run.name)}.intersection(jobsets):
        if time.monotonic() > deadline + END_TIMEOUT:
            raise BackendError(f"the cluster has not deleted {', '.join(sorted(left))} yet; see `kubectl get jobsets`")
        if time.monotonic() > deadline:
            for pod in cluster.pods(run.name):
                if pod.jobset in left and pod.name not in killed:
                    killed.add(pod.name)
                    cluster.kill_pod(pod.name)
        time.sleep(STOP_POLL)
