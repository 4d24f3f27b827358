"""A node: containerd, kubelet, kube-proxy and what enforces NetworkPolicies, on a machine of their own."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import cgroups
from .certificates import Authority
from .control_plane import API
from .images import PAUSE
from .namespaces import Machine
from .network import DNS_SERVICE, PODS, node_address, pod_subnet

CNI_PLUGINS = Path("/usr/lib/cni")
CONTENT = "lib/containerd/io.containerd.content.v1.content/blobs/sha256"

CONTAINERD = """
version = 2
disabled_plugins = [
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


@dataclass
class Node:
    """Number n (from 1) of the cluster; `machine` is started and plugged in before."""

    number: int
    machine: Machine
    binaries: Path
    group: str
    """The control group of all its containers."""

    @property
    def name(self) -> str:
        return self.machine.name

    def prepare(self, authority: Authority) -> None:
        """Write the configuration of its programs."""
        folder = self.machine.folder
        cgroups.make(self.group)
        node = authority.kubeconfig(API, f"system:node:{self.name}", "system:nodes")
        proxy = authority.kubeconfig(API, "system:kube-proxy")
        policies = authority.kubeconfig(API, "policies", "system:masters")
        (folder / "resolv.conf").touch()
        (folder / "containerd.toml").write_text(
            CONTAINERD.format(pause=PAUSE, plugins=CNI_PLUGINS, folder=folder).lstrip()
        )
        (folder / "cni").mkdir()
        (folder / "cni" / "pods.conflist").write_text(json.dumps(self._pod_network()))
        self._write("kubelet.yaml", self._kubelet(authority.file))
        self._write("kube-proxy.yaml", self._proxy(proxy))
        shutil.copy(node, folder / "kubelet.kubeconfig")
        shutil.copy(policies, folder / "policies.kubeconfig")

    @property
    def starters(self) -> dict[str, Callable[[], None]]:
        """How each of its processes is started."""
        return {
            "containerd": self.start_containerd,
            "kubelet": self.start_kubelet,
            "kube-proxy": self.start_proxy,
            "policies": self.start_policies,
        }

    def start_containerd(self) -> None:
        self.machine.daemon("containerd", "containerd", "--config", str(self.machine.folder / "containerd.toml"))

    def start_kubelet(self) -> None:
        folder = self.machine.folder
        files = (f"--config={folder}/kubelet.yaml", f"--kubeconfig={folder}/kubelet.kubeconfig")
        address = f"--node-ip={node_address(self.number)}"
        self.machine.daemon(
            "kubelet", str(self.binaries / "kubelet"), *files, f"--hostname-override={self.name}", address
        )

    def start_proxy(self) -> None:
        self.machine.daemon(
            "kube-proxy", str(self.binaries / "kube-proxy"), f"--config={self.machine.folder}/kube-proxy.yaml"
        )

    def start_policies(self) -> None:
        kubeconfig = f"--kubeconfig={self.machine.folder}/policies.kubeconfig"
        self.machine.daemon("policies", str(self.binaries / "policies"), kubeconfig, f"--node={self.name}")

    def import_image(self, archive: Path, alike: "Node | None" = None) -> list[str]:
        """Unpack the images of an archive (as `docker save` writes it); returns their names.

        What `alike` has imported already takes no room again.
        """
        if alike:
            self._share_blobs(alike)
        said = self.ctr("images", "import", str(archive))
        if alike:
            self._share_blobs(alike)  # containerd may have removed what nothing referred to yet, and written it again
        return [line.split()[1] for line in said.splitlines() if line.startswith("unpacking ")]

    def _share_blobs(self, other: "Node") -> None:
        """Make the blobs of both nodes the same files: containerd never changes one."""
        ours, theirs = self.machine.folder / CONTENT, other.machine.folder / CONTENT
        ours.mkdir(parents=True, exist_ok=True)
        for blob in theirs.iterdir():
            if not (ours / blob.name).exists() or not (ours / blob.name).samefile(blob):
                new = ours / f"{blob.name}.new"
                os.link(blob, new)
                new.replace(ours / blob.name)

    def tag_image(self, name: str, new: str) -> None:
        self.ctr("images", "tag", "--force", name, new)

    def ctr(self, *arguments: str) -> str:
        return self.machine.run("ctr", "--namespace", "k8s.io", *arguments)

    def containerd_answers(self) -> bool:
        command = [*self.machine.enter(), "ctr", "version"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def _write(self, name: str, content: dict[str, object]) -> None:
        (self.machine.folder / name).write_text(yaml.safe_dump(content))

    def _pod_network(self) -> dict[str, object]:
        ranges = {"type": "host-local", "subnet": pod_subnet(self.number), "routes": [{"dst": "0.0.0.0/0"}]}
        return {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": ranges}]}

    def _kubelet(self, authority_file: Path) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(authority_file)}},
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "clusterDNS": [DNS_SERVICE],
            "clusterDomain": "cluster.local",
            "resolvConf": str(self.machine.folder / "resolv.conf"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.group}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "featureGates": {"KubeletInUserNamespace": True},
            # A full disk of this machine is not the cluster's affair, and imported images cannot be pulled again.
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
        }

    def _proxy(self, kubeconfig: Path) -> dict[str, object]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "hostnameOverride": self.name,
            "clusterCIDR": PODS,
            # The kernel's limits are this machine's.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
