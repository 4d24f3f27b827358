"""What is installed into the cluster: its names, JobSet, Kueue, kwok; each from its own released manifests."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import build
from .images import DOMAIN, Image

MANIFESTS = Path(__file__).parent / "manifests"
Kubectl = Callable[..., str]
FIRST_NODE = {"kubernetes.io/hostname": "node-1"}
"""Where all of them run: a test may cut off the other one."""


@dataclass(frozen=True)
class Addon:
    """A Deployment and what belongs to it: kustomizations in the module's folder, or a file here."""

    program: build.Program
    namespace: str
    deployment: str
    binary: str
    """Where the manifests expect the program."""
    module: str = ""
    kustomizations: tuple[str, ...] = ()

    @property
    def image(self) -> Image:
        return Image(f"{DOMAIN}/{self.program.name}:1", build.build(self.program), self.binary)

    def installed(self, kubectl: Kubectl) -> bool:
        return bool(
            kubectl("get", "deployment", "-n", self.namespace, self.deployment, "-o", "name", "--ignore-not-found")
        )

    def install(self, kubectl: Kubectl) -> None:
        """Apply everything; returns at once."""
        for text in self._manifests(kubectl):
            parts = [self._adapted(part) for part in re.split(r"^---$", text, flags=re.MULTILINE)]
            kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input="---\n".join(parts))

    def wait(self, kubectl: Kubectl) -> None:
        """Return when its pod is ready."""
        kubectl("rollout", "status", "-n", self.namespace, f"deployment/{self.deployment}", "--timeout=300s")

    def kill(self, kubectl: Kubectl) -> None:
        """End its pod at once; the next one is not ready yet."""
        found = kubectl("get", "deployment", "-n", self.namespace, self.deployment, "-o", "json")
        labels = json.loads(found)["spec"]["selector"]["matchLabels"]
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        kubectl("delete", "pod", "-n", self.namespace, "-l", selector, "--grace-period=0", "--force")

    def _manifests(self, kubectl: Kubectl) -> list[str]:
        if not self.kustomizations:
            return [(MANIFESTS / f"{self.program.name}.yaml").read_text()]
        folder = build.released(self.module)
        return [kubectl("kustomize", str(folder / name)) for name in self.kustomizations]

    def _adapted(self, manifest: str) -> str:
        """A Deployment runs our image on the first node, takes what it needs and is looked at every second."""
        if not re.search(r"^kind: Deployment$", manifest, flags=re.MULTILINE):
            return manifest
        content = yaml.safe_load(manifest)
        pod = content["spec"]["template"]["spec"]
        pod["nodeSelector"] = FIRST_NODE
        for container in pod["containers"]:
            container |= {"image": f"{DOMAIN}/{self.program.name}:1", "imagePullPolicy": "Never"}
            container.pop("resources", None)
            container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 10}
            container.pop("livenessProbe", None)  # a busy machine is no reason to start it again
        return str(yaml.safe_dump(content))


COREDNS = Addon(build.COREDNS, "kube-system", "coredns", "/coredns")
JOBSET = Addon(
    build.JOBSET,
    "jobset-system",
    "jobset-controller-manager",
    "/manager",
    "sigs.k8s.io/jobset",
    ("config/default",),
)
KUEUE = Addon(
    build.KUEUE,
    "kueue-system",
    "kueue-controller-manager",
    "/manager",
    "sigs.k8s.io/kueue",
    ("config/default",),
)
KWOK = Addon(
    build.KWOK,
    "kube-system",
    "kwok-controller",
    "/usr/local/bin/kwok",
    "sigs.k8s.io/kwok",
    ("kustomize/kwok", "kustomize/stage/fast"),
)


def fake_nodes(first: int, count: int, gpus: int) -> str:
    """Manifests of nodes that kwok pretends to be, tainted as clouds taint those with GPUs."""
    nodes = []
    for number in range(first, first + count):
        name = f"kwok-{number}"
        room = {"cpu": "96", "memory": "1Ti", "pods": "110", "nvidia.com/gpu": str(gpus)}
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
        metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
        taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
        nodes.append(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": metadata,
                "spec": {"taints": [taint]},
                "status": {"allocatable": room, "capacity": room},
            }
        )
    return str(yaml.safe_dump_all(nodes))
