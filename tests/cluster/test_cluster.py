"""The cluster does what a cluster does; the tests of what runs on it may rely on that."""

import json
import time
import urllib.request
import uuid
from collections.abc import Callable

import pytest

from .cluster import Cluster
from .pods import Manifest, jobset, pod, pod_spec, service

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def namespace(cluster: Cluster) -> str:
    """A namespace of the test's own in which restricted pod security is enforced."""
    name = f"test-{uuid.uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    return name


def test_pods_on_both_nodes_reach_each_other_by_the_names_of_services(cluster: Cluster, namespace: str) -> None:
    for node in cluster.nodes:
        name = f"server-{node}"
        apply(cluster, pod(name, namespace, pod_spec("serve", ":8080", node=node)), service(name, namespace, 8080))
    for node, other in (("node-1", "node-2"), ("node-2", "node-1"), ("node-1", "node-1")):
        client = pod_spec("get", f"http://server-{other}.{namespace}:8080/", node=node)
        assert run(cluster, namespace, client) == f"server-{other}\n"


def test_a_pod_finds_a_hostname_of_a_jobset_on_the_other_node(cluster: Cluster, namespace: str) -> None:
    spec = pod_spec("resolve", "pair-second-0-0.pair", node="node-1"), pod_spec("sleep", "20", node="node-2")
    pair = jobset("pair", namespace, ("first", spec[0]), ("second", spec[1]))
    del pair["spec"]["replicatedJobs"][1]["dependsOn"]
    apply(cluster, pair)
    log = ("logs", "-n", namespace, "job/pair-first-0")
    cluster.until(lambda: "10.244.2." in cluster.kubectl(*log), "the address of a pod of node-2")


def test_a_jobset_runs_its_jobs_in_the_order_of_dependson(cluster: Cluster, namespace: str) -> None:
    chain = jobset("chain", namespace, ("first", pod_spec("sleep", "2")), ("second", pod_spec("exit", "0")))
    apply(cluster, chain)
    completed(cluster, namespace, "chain")
    items = json.loads(cluster.kubectl("get", "jobs", "-n", namespace, "-o", "json"))["items"]
    jobs = {item["metadata"]["name"]: item for item in items}
    assert set(jobs) == {"chain-first-0", "chain-second-0"}
    created = jobs["chain-second-0"]["metadata"]["creationTimestamp"]
    assert created >= jobs["chain-first-0"]["status"]["completionTime"]


def test_an_invalid_jobset_is_refused_by_the_webhook(cluster: Cluster, namespace: str) -> None:
    wrong = jobset("wrong", namespace, ("first", pod_spec("exit", "0")), ("second", pod_spec("exit", "0")))
    wrong["spec"]["replicatedJobs"][1]["dependsOn"][0]["name"] = "third"
    with pytest.raises(RuntimeError, match="second cannot depend on"):
        apply(cluster, wrong)


def test_restricted_pod_security_refuses_root(cluster: Cluster, namespace: str) -> None:
    root = pod_spec("exit", "0")
    root["securityContext"] = {"runAsUser": 0}
    with pytest.raises(RuntimeError, match='violates PodSecurity "restricted'):
        apply(cluster, pod("root", namespace, root))


def test_a_pod_that_takes_more_memory_than_it_may_is_killed(cluster: Cluster, namespace: str) -> None:
    apply(cluster, pod("greedy", namespace, pod_spec("allocate", "256", memory="64Mi")))
    state = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    get = ("get", "pod", "-n", namespace, "greedy", "-o", state)
    cluster.until(lambda: cluster.kubectl(*get) == "OOMKilled", "the kernel's verdict")


def test_a_volume_is_the_same_on_both_nodes_and_on_this_machine(cluster: Cluster, namespace: str) -> None:
    folder = cluster.volume("runs", namespace)
    for node in cluster.nodes:
        run(cluster, namespace, pod_spec("write", f"/data/{node}", "1", node=node, claim="runs"))
    assert {file.name: file.stat().st_size for file in folder.iterdir()} == dict.fromkeys(cluster.nodes, 1 << 20)
    assert {file.stat().st_uid for file in folder.iterdir()} == {1000}


def test_a_limited_volume_gets_full(cluster: Cluster, namespace: str) -> None:
    folder = cluster.volume("small", namespace, limit="4M")
    run(cluster, namespace, pod_spec("write", "/data/fits", "3", node="node-1", claim="small"))
    said = run(cluster, namespace, pod_spec("write", "/data/more", "3", node="node-2", claim="small"), phase="Failed")
    assert "no space left on device" in said
    assert (folder / "fits").stat().st_size == 3 << 20


def test_a_port_is_forwarded_to_this_machine(cluster: Cluster, namespace: str) -> None:
    apply(cluster, pod("server", namespace, pod_spec("serve", ":8080", node="node-2")))
    cluster.kubectl("wait", "-n", namespace, "pod/server", "--for=condition=Ready", "--timeout=300s")
    with (
        cluster.forwarded(namespace, "pod/server", 8080) as address,
        urllib.request.urlopen(f"{address}/") as answer,
    ):
        assert answer.read() == b"server\n"


def test_a_node_that_is_cut_off_is_not_ready_until_it_is_joined(cluster: Cluster) -> None:
    cluster.cut("node-2")
    try:
        cluster.until(lambda: cluster.ready_nodes("node-2") == 0, "the loss of node-2")
        assert cluster.ready_nodes("node-1") == 1
    finally:
        cluster.join("node-2")
    cluster.until(lambda: cluster.ready_nodes("node-2") == 1, "the return of node-2")


@pytest.mark.image  # not while the image is brought to the nodes
def test_a_node_whose_programs_were_killed_works_again(cluster: Cluster, namespace: str, image: None) -> None:
    for process in ("kubelet", "containerd", "kube-proxy"):
        cluster.kill("node-2", process)
    for process in ("containerd", "kubelet", "kube-proxy"):
        cluster.start_again("node-2", process)
    run(cluster, namespace, pod_spec("exit", "0", node="node-2"))


@pytest.mark.parametrize("fault", [Cluster.restart_apiserver, Cluster.restart_jobset_controller])
def test_a_jobset_goes_on_when_the_control_plane_restarts(
    cluster: Cluster, namespace: str, fault: Callable[[Cluster], None]
) -> None:
    apply(cluster, jobset("chain", namespace, ("first", pod_spec("sleep", "5")), ("second", pod_spec("exit", "0"))))
    cluster.until(lambda: cluster.kubectl("get", "pods", "-n", namespace, "-o", "name"), "its first pod")
    fault(cluster)
    completed(cluster, namespace, "chain")


def test_fake_nodes_take_only_pods_that_ask_for_gpus(cluster: Cluster, namespace: str) -> None:
    cluster.add_kwok_nodes(20)
    asking = pod_spec("sleep", "600")
    asking["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": 8}}
    apply(cluster, jobset("gpus", namespace, ("asks", asking), ("asks-not", pod_spec("exit", "0"))))
    completed(cluster, namespace, "gpus")
    template = '{range .items[*]}{.spec.nodeName}{"\\n"}{end}'
    nodes = cluster.kubectl("get", "pods", "-n", namespace, "-o", f"jsonpath={template}").splitlines()
    assert sorted(node.partition("-")[0] for node in nodes) == ["kwok", "node"]


def test_kueue_holds_a_jobset_until_there_is_quota(cluster: Cluster, namespace: str) -> None:
    cluster.install_kueue()
    flavour = {"name": namespace, "resources": [{"name": "memory", "nominalQuota": "0"}]}
    group = {"coveredResources": ["memory"], "flavors": [flavour]}
    queue: Manifest = {"namespaceSelector": {}, "resourceGroups": [group]}
    apply(
        cluster,
        kueue("ResourceFlavor", namespace, {}),
        kueue("ClusterQueue", namespace, queue),
        kueue("LocalQueue", namespace, {"clusterQueue": namespace}, namespace),
    )
    waiting = jobset("waiting", namespace, ("main", pod_spec("exit", "0", memory="64Mi")))
    waiting["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": namespace}
    apply(cluster, waiting)
    time.sleep(3)
    assert not cluster.kubectl("get", "pods", "-n", namespace, "-o", "name")
    flavour["resources"] = [{"name": "memory", "nominalQuota": "1Gi"}]
    apply(cluster, kueue("ClusterQueue", namespace, queue))
    completed(cluster, namespace, "waiting")


def apply(cluster: Cluster, *manifests: Manifest) -> None:
    cluster.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))


def run(cluster: Cluster, namespace: str, spec: Manifest, phase: str = "Succeeded") -> str:
    """What a pod said until it ended so."""
    name = f"pod-{uuid.uuid4().hex[:6]}"
    apply(cluster, pod(name, namespace, spec))
    get = ("get", "pod", "-n", namespace, name, "-o", "jsonpath={.status.phase}")
    cluster.until(lambda: cluster.kubectl(*get) == phase, f"{name} {phase}")
    return cluster.kubectl("logs", "-n", namespace, name)


def completed(cluster: Cluster, namespace: str, name: str) -> None:
    condition = ("--for=condition=Completed", "--timeout=300s")
    cluster.kubectl("wait", "-n", namespace, f"jobset/{name}", *condition)


def kueue(kind: str, name: str, spec: Manifest, namespace: str = "") -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": metadata, "spec": spec}
