"""What breaks under a run on the real cluster, and what becomes of the run. docs/reliability.md lists these."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.backends import BACKENDS, look
from launcher.runs.state import Status
from support import small_runs

from .cluster import Cluster
from .site import Site, job, job_of, make_site, statuses
from .test_scheduling import retry

pytestmark = [pytest.mark.cluster, pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1800)]
NODE = "node-2"
FILL = "print('up', flush=True); open('/runs/big', 'wb').write(bytes(100 << 20))"


def test_controllers_that_are_killed_in_the_middle(site: Site) -> None:
    """The API server, the JobSet controller and `advance`, each once, in one chain."""
    go = [site.runs / f"go-{step}" for step in (1, 2)]
    waits = [small_runs.wait_for(Path("/runs") / each.name) for each in go]
    run = site.start(job("a", waits[0]), job("b", waits[1], ("a",)), job("c", "", ("b",)))
    site.until_up(run, "a")
    site.cluster.restart_apiserver()
    go[0].touch()
    site.until(
        lambda: site.kubectl("get", "pods", "-l", "app.kubernetes.io/component=advance", "-o", "name"), "advance"
    )
    site.kubectl("delete", "pods", "-l", "app.kubernetes.io/component=advance", "--grace-period=0", "--force")
    site.until_up(run, "b")
    site.cluster.restart_jobset_controller()
    go[1].touch()
    assert statuses(site.until_ended(run)) == {"a": "done", "b": "done", "c": "done"}
    assert {name: site.folder(run).state(name).attempt for name in "abc"} == {"a": 1, "b": 1, "c": 1}


def test_a_pod_that_is_killed_runs_again(site: Site) -> None:
    run = site.start(job("a", small_runs.SLEEP_AT_FIRST, retries=1))
    site.until_up(run, "a")
    kill_pods(f"/runs/{run.name}", "a")
    assert statuses(site.until_ended(run)) == {"a": "done"}
    assert site.folder(run).state("a").attempt == 2
    assert site.of_jobsets(run, ".status.restartsCountTowardsMax") == "1"


@pytest.mark.parametrize("remedy", ["tainted", "deleted"])
def test_a_node_that_is_lost(site: Site, remedy: str) -> None:
    site.kubectl("cordon", "node-1")
    try:
        run = site.start(job("a", small_runs.SLEEP_AT_FIRST.replace("60", "600"), retries=1))
        site.until_up(run, "a")
        site.until_is(run, "a", Status.RUNNING)
    finally:
        site.kubectl("uncordon", "node-1")
    site.cluster.cut(NODE)
    try:
        site.until(lambda: f"node {NODE} does not answer" in job_of(run, "a").reason, "a cause")
        assert job_of(run, "a").status is Status.RUNNING
        kill_pods(f"/runs/{run.name}", "a")  # what makes the remedy right
        taint = job_of(run, "a").reason.split("`")[1]
        site.kubectl(*(taint.split()[1:] if remedy == "tainted" else ("delete", "node", NODE)))
        assert statuses(site.until_ended(run)) == {"a": "done"}
        assert site.folder(run).state("a").attempt == 2
    finally:
        site.cluster.join(NODE)
        if f"node/{NODE}" not in site.kubectl("get", "nodes", "-o", "name").split():
            site.cluster.kill(NODE, "kubelet")  # it makes its node when it starts
            site.cluster.start_again(NODE, "kubelet")
        elif "out-of-service" in site.kubectl("get", "node", NODE, "-o", "jsonpath={.spec.taints}"):
            site.kubectl("taint", "nodes", NODE, "node.kubernetes.io/out-of-service-")
        site.until(lambda: site.cluster.ready_nodes(NODE) == 1, "the node's return")


def kill_pods(run: str, job: str) -> None:
    """Kill a job's pods: the first process of each, and with it all others, at once."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if {"launcher.backends.kubernetes.pod", run, job} <= set(words):
            os.kill(int(process.name), signal.SIGKILL)


def test_a_full_volume_is_told_and_the_run_goes_on_when_there_is_room(
    cluster: Cluster, image: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(cluster, "full-volume", tmp_path, limit="48M")
    with site.current(monkeypatch):
        run = site.start(job("a", FILL))
        site.until_ended(run)
        assert job_of(run, "a").status is Status.FAILED
        assert "No space left on device" in job_of(run, "a").reason
        (site.runs / "big").unlink()
        retry(run)  # fills it again, which is what a second attempt of this job does
        site.until_up(run, "a", attempt=2)


def test_what_cannot_start_says_why(site: Site) -> None:
    run = site.start(
        replace(job("no_image"), image="registry.invalid/none:1"),
        job("no_node", node_selector={"pool": "none"}),
    )
    site.until(lambda: "Unschedulable" in job_of(run, "no_node").reason, "Unschedulable")
    site.until(lambda: "Pull" in job_of(run, "no_image").reason, "ImagePullBackOff")
    BACKENDS["kubernetes"].stop(run, ["no_image", "no_node"], grace=0)
    assert statuses(look(run, run.plan())) == {"no_image": "cancelled", "no_node": "cancelled"}
