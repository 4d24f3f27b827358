"""What Kubernetes, JobSet and Kueue do with runs: chains, branches, retries, preemption, quota. All of it real."""

import time
from dataclasses import replace

import pytest
import yaml

import launcher
from launcher.backends import BACKENDS, look
from launcher.backends.kubernetes import names
from launcher.backends.kubernetes.advance import advance
from launcher.backends.kubernetes.cluster import Cluster
from launcher.plan import PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.release import release
from launcher.runs.state import Status
from locat.contract.source import Machine, Source
from support import small_runs
from support.documents import ROOT

from .site import IMAGE, Site, job, job_of, statuses

pytestmark = [pytest.mark.cluster, pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1800)]
ALLOCATE = "data = b'x' * (1 << 30); print(len(data))"


def retry(run: RunFolder) -> None:
    """As `launcher retry` does."""
    jobs = [each.name for each in run.plan().jobs]
    release(run, look(run, run.plan()), jobs)
    BACKENDS["kubernetes"].forget(run, jobs)
    BACKENDS["kubernetes"].start(run)


def with_resources(planned: PlannedJob, **resources: int) -> PlannedJob:
    return replace(planned, resources=replace(planned.resources, **resources))


def test_a_chain_retries_and_branches_that_fail(site: Site) -> None:
    run = site.start(
        job("first"),
        job("bad", "import sys; sys.exit('boom')", ("first",)),
        job("wrong", "import sys; sys.exit(2)", retries=3),
        job("after_bad", "", ("bad",)),
        job("once_more", small_runs.FAIL_ONCE, retries=1),
        job("preempted", small_runs.AT_FIRST + small_runs.PREEMPTED),
        with_resources(job("eater", ALLOCATE), memory=128),
        job("last", "", ("first", "once_more", "preempted")),
    )
    view = site.until_ended(run)
    assert statuses(view) == {
        "first": "done", "bad": "failed", "wrong": "invalid", "after_bad": "blocked", "once_more": "done",
        "preempted": "done", "eater": "failed", "last": "done",
    }  # fmt: skip
    seen = {each.name: each for each in view.jobs}
    assert seen["bad"].reason == "boom"
    assert "OOMKilled" in seen["eater"].reason
    attempts = {name: site.folder(run).state(name).attempt for name in ("wrong", "once_more", "preempted", "bad")}
    assert attempts == {"wrong": 1, "once_more": 2, "preempted": 2, "bad": 1}
    assert site.folder(run).state("preempted").failures == 0
    assert not site.kubectl("get", "pods", "--field-selector=status.phase=Running", "-o", "name")  # nothing stays

    retry(run)
    assert statuses(site.until_ended(run))["bad"] == "failed"
    assert site.folder(run).state("bad").attempt == 2


def test_a_plugin_of_this_machine_reaches_pods_and_those_that_come_later(site: Site) -> None:
    """docs/extend/plugins.md; the second job is applied by `advance`, from the plan that has the plugin."""
    again = {"task": "parameters", "needs": ["parameters"], "config": {"model": {"name": "vit_nano"}}}
    pipeline = {"include": str(ROOT / "examples/own_file/nano.yaml"), "name": "nano", "jobs": {"again": again}}
    settings = {"defaults.image": IMAGE, "tracking.uri": "sqlite:////runs/mlflow.db"}
    run = RunFolder(launcher.submit(pipeline, settings, backend="kubernetes", runs=site.here).path)
    assert statuses(site.until_ended(run)) == {"parameters": "done", "again": "done"}
    there = site.folder(run)
    counted = [(there.job(name).outputs / "parameters.txt").read_text() for name in ("parameters", "again")]
    assert counted[0] == "1436074\n" != counted[1]
    machine, source = Machine.read(there.job("parameters")), Source.read(there.path)
    assert machine and source and machine.code == source.digest
    assert ("nano.py",) in [origin.modules for origin in source.origins]


def test_cancel_and_retry(site: Site) -> None:
    run = site.start(job("a", small_runs.CHECKPOINT_AT_FIRST), job("b", "", ("a",)))
    site.until_up(run, "a")
    site.until_is(run, "a", Status.RUNNING)  # so far the volume alone has told
    site.until(lambda: "up\n" in list(BACKENDS["kubernetes"].log(run, "a", None, None, False) or ()), "the log")
    BACKENDS["kubernetes"].stop(run, ["a", "b"], grace=30)
    assert statuses(look(run, run.plan())) == {"a": "cancelled", "b": "cancelled"}
    assert site.folder(run).state("a").status is Status.PREEMPTED  # it was asked, and checkpointed
    retry(run)
    assert statuses(site.until_ended(run)) == {"a": "done", "b": "done"}


def test_a_job_that_is_cancelled_while_it_waits_does_not_begin(site: Site) -> None:
    run = site.start(job("a", "import time; time.sleep(10)"), job("b", "", ("a",)))
    site.until_is(run, "a", Status.RUNNING)
    assert small_runs.cli(run, "cancel", run.name, "b").stdout == "cancelled: b\n"
    assert statuses(site.until_ended(run)) == {"a": "done", "b": "cancelled"}
    retry(run)
    assert statuses(site.until_ended(run)) == {"a": "done", "b": "done"}


def test_preemption_is_not_counted(site: Site) -> None:
    for name, value in (("low", 1), ("high", 1000)):
        manifest = {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": f"{site.namespace}-{name}"},
            "value": value,
        }
        site.kubectl("apply", "-f", "-", input=yaml.safe_dump(manifest))
    here = {"node_selector": {"kubernetes.io/hostname": "node-2"}}
    low = job("low", small_runs.CHECKPOINT_AT_FIRST, priority_class=f"{site.namespace}-low", **here)
    first = site.start(with_resources(low, cpus=2))
    site.until_up(first, "low")
    high = job("high", "import time; time.sleep(3)", priority_class=f"{site.namespace}-high", **here)
    second = site.start(with_resources(high, cpus=2))
    assert statuses(site.until_ended(second)) == {"high": "done"}
    assert statuses(site.until_ended(first)) == {"low": "done"}
    assert site.folder(first).state("low").attempt == 2
    assert site.folder(first).state("low").failures == 0


def test_two_upstreams_that_end_at_once_begin_what_needs_both_once(site: Site) -> None:
    end = f"import time; time.sleep(max(0, {time.time() + 30} - time.time()))"
    run = site.start(job("a", end), job("b", end), with_resources(job("c", "", ("a", "b")), memory=1024))
    assert statuses(site.until_ended(run)) == {"a": "done", "b": "done", "c": "done"}
    assert site.folder(run).state("c").attempt == 1
    seen = ".metadata['uid','generation']"
    before = site.of_jobsets(run, seen)
    plan = run.plan()
    for name in ("a", "b", "a"):  # applied again, as by an `advance` that was started twice
        advance(plan, name, Cluster(), [names.plan(run.name)], cancelled=())
    assert site.of_jobsets(run, seen) == before


def test_pods_that_a_quota_forbids_say_so_and_come_when_they_may(site: Site) -> None:
    site.kubectl("create", "quota", "none", "--hard=pods=0")
    run = site.start(job("a"))
    site.until(lambda: "exceeded quota: none" in job_of(run, "a").reason, "a cause")
    site.kubectl("delete", "quota", "none")
    assert statuses(site.until_ended(run)) == {"a": "done"}


def test_a_quota_too_small_waits_and_then_runs(site: Site) -> None:
    site.cluster.install_kueue()
    quota = {
        "ResourceFlavor": {},
        "ClusterQueue": {
            "namespaceSelector": {},
            "resourceGroups": [
                {
                    "coveredResources": ["cpu", "memory"],
                    "flavors": [
                        {
                            "name": site.namespace,
                            "resources": [
                                {"name": "cpu", "nominalQuota": "1100m"},
                                {"name": "memory", "nominalQuota": "2Gi"},
                            ],
                        }
                    ],
                }
            ],
        },
        "LocalQueue": {"clusterQueue": site.namespace},
    }
    for kind, spec in quota.items():
        manifest = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": site.namespace}}
        site.kubectl("apply", "-f", "-", input=yaml.safe_dump({**manifest, **({"spec": spec} if spec else {})}))
    queued = {"queue": site.namespace}
    run = site.start(
        with_resources(job("a", "import time; print('up'); time.sleep(8)", **queued), memory=256),
        with_resources(job("b", "import time; print('up'); time.sleep(8)", **queued), memory=256),
    )
    site.until(
        lambda: any(
            each.reason.startswith(f"waits in queue {site.namespace}: couldn't assign flavors")
            for each in look(run, run.plan()).having([Status.QUEUED])
        ),
        "a job that says why it waits",
    )
    waiting = look(run, run.plan()).having([Status.QUEUED])[0]
    assert small_runs.cli(run, "logs", run.name, waiting.name).exit_code == 2
    assert "up" in small_runs.cli(run, "logs", run.name, waiting.name, "--follow").stdout
    assert statuses(site.until_ended(run)) == {"a": "done", "b": "done"}
    ended = [site.folder(run).state(name) for name in ("a", "b")]
    assert small_runs.most_at_once([(each.started or 0, each.ended or 0) for each in ended]) == 1
