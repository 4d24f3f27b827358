"""A namespace for runs, and light runs for it: real pods of the real image, whose jobs are a line of code."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.backends import BACKENDS, look
from launcher.plan import Plan, PlannedJob
from launcher.runs.create import create
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import JobView, RunView
from support import small_runs

from .cluster import Cluster

IMAGE = "locat.test/locat:test"
BASE = Path(__file__).parents[2] / "k8s" / "base"
SLOW = 300.0
"""Seconds that pods may take on a busy machine."""


@dataclass(frozen=True)
class Site:
    """One namespace of the cluster, with accounts, rights and the volume of runs; its user is who runs the test."""

    cluster: Cluster
    namespace: str
    runs: Path
    """The volume, as this machine sees it."""
    here: Path
    """The folder of runs of whoever submits."""

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, input=input)

    @contextmanager
    def current(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Make it what the user's kubeconfig names."""
        kubeconfig = self.here / "kubeconfig"
        kubeconfig.write_bytes(self.cluster.kubeconfig.read_bytes())
        with patch.context() as within:
            within.setenv("KUBECONFIG", str(kubeconfig))
            self.cluster.kubectl(
                "config", "set-context", "--current", f"--namespace={self.namespace}", f"--kubeconfig={kubeconfig}"
            )
            yield

    def start(self, *jobs: PlannedJob, name: str = "") -> RunFolder:
        """A run that the cluster has taken."""
        name = name or f"test-{time.monotonic_ns()}"
        jobs = tuple(replace(job, image=job.image or IMAGE) for job in jobs)
        plan = Plan(
            name, "test", "a test", Path("/runs") / name, "sqlite:////runs/mlflow.db", "test", jobs, "kubernetes"
        )
        run = create(plan, "name: test\n", self.here)
        BACKENDS["kubernetes"].check(plan)
        BACKENDS["kubernetes"].start(run)
        return run

    def folder(self, run: RunFolder) -> RunFolder:
        """The run's folder in the volume."""
        return RunFolder(self.runs / run.name)

    def of_jobsets(self, run: RunFolder, path: str) -> str:
        """What a JSON path finds in each of a run's JobSets."""
        return self.kubectl(
            "get", "jobsets", f"--selector=locat.dev/run={run.name}", f"--output=jsonpath={{.items[*]{path}}}"
        )

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for what must come true; a failure shows how the namespace's objects stand."""
        try:
            self.cluster.until(condition, what, SLOW)
        except AssertionError as error:
            error.add_note(self.kubectl("get", "jobsets,jobs,pods", "-o", "wide"))
            error.add_note(self.kubectl("get", "events", "--sort-by=.lastTimestamp"))
            raise

    def until_is(self, run: RunFolder, job: str, status: Status) -> JobView:
        self.until(lambda: job_of(run, job).status is status, f"{job} {status}, is {job_of(run, job)}")
        return job_of(run, job)

    def until_up(self, run: RunFolder, job: str, attempt: int = 1) -> None:
        """Wait until a job's command says that it is up."""
        log = self.folder(run).job(job).attempt(attempt) / "launch.log"
        self.until(lambda: log.exists() and "up" in log.read_text(), f"{job} up")

    def until_ended(self, run: RunFolder) -> RunView:
        self.until(lambda: look(run, run.plan()).ended, "the run's end")
        return look(run, run.plan())


def make_site(cluster: Cluster, namespace: str, here: Path, limit: str = "") -> Site:
    """A namespace with the accounts and the security of k8s/base, and a volume of its own (of at most `limit`)."""
    for file in ("namespace.yaml", "accounts.yaml", "advance-policy.yaml"):
        for manifest in yaml.safe_load_all((BASE / file).read_text()):
            if manifest["kind"] == "Namespace":
                manifest["metadata"]["name"] = namespace
            elif not manifest["kind"].startswith("Validating"):  # which are of no namespace
                manifest["metadata"]["namespace"] = namespace
            cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump(manifest))
    return Site(cluster, namespace, cluster.volume("locat-runs", namespace, limit=limit), here)


def job_of(run: RunFolder, name: str) -> JobView:
    return next(each for each in look(run, run.plan()).jobs if each.name == name)


def statuses(view: RunView) -> dict[str, str]:
    return {job.name: str(job.status) for job in view.jobs}


def job(name: str, code: str = "", needs: tuple[str, ...] = (), retries: int = 0, **kubernetes: Any) -> PlannedJob:
    """A job that is a line of Python."""
    return replace(small_runs.job(name, code, needs, retries), options={"kubernetes": kubernetes})
