"""etcd, the API server, the controllers and the scheduler, as processes of one machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .certificates import Authority
from .namespaces import Machine
from .network import API_SERVICE, PODS, SERVICES, SWITCH

API = f"https://{SWITCH}:6443"
"""The API server, for those on the cluster's network."""
NODE_GRACE = 20
"""Seconds without a word from a node until it is not ready; 50 by default."""
TOLERATION = 10
"""Seconds that pods stay on such a node before they are told to go; 300 by default."""


@dataclass
class ControlPlane:
    """Runs on `machine`; `binaries` are named as the components are."""

    machine: Machine
    folder: Path
    binaries: Path

    def prepare(self, address: str) -> Authority:
        """Make all certificates and kubeconfigs; returns the authority that nodes' are signed by.

        The address is the API server's, for this machine.
        """
        self.folder.mkdir()
        authority = Authority(self.folder, "authority")
        names = [f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc", ".default.svc.cluster.local")]
        authority.issue("kube-apiserver", hosts=(*names, "localhost", "127.0.0.1", SWITCH, address, API_SERVICE))
        authority.issue("apiserver-to-kubelet", group="system:masters")
        authority.issue("service-accounts")
        Authority(self.folder, "front-proxy-authority").issue("front-proxy")
        for name in ("kube-controller-manager", "kube-scheduler"):
            authority.kubeconfig(API, f"system:{name}")
        return authority

    def start(self) -> None:
        """Start everything; the API server may not answer yet."""
        for start in self.starters.values():
            start()

    def start_etcd(self) -> None:
        self._start("etcd", f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync", "--log-level=error")

    def start_apiserver(self) -> None:
        self._start(
            "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={SWITCH}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--client-ca-file={self._file('authority.crt')}",
            f"--tls-cert-file={self._file('kube-apiserver.crt')}",
            f"--tls-private-key-file={self._file('kube-apiserver.key')}",
            f"--kubelet-client-certificate={self._file('apiserver-to-kubelet.crt')}",
            f"--kubelet-client-key={self._file('apiserver-to-kubelet.key')}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self._file('service-accounts.crt')}",
            f"--service-account-signing-key-file={self._file('service-accounts.key')}",
            "--authorization-mode=Node,RBAC",
            # As clouds have it: nodes with GPUs are tainted, and pods that ask for GPUs tolerate it.
            "--enable-admission-plugins=NodeRestriction,ExtendedResourceToleration",
            f"--default-not-ready-toleration-seconds={TOLERATION}",
            f"--default-unreachable-toleration-seconds={TOLERATION}",
            # What services of aggregated APIs (Kueue has one) and webhooks are reached by.
            "--enable-aggregator-routing",
            f"--requestheader-client-ca-file={self._file('front-proxy-authority.crt')}",
            "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self._file('front-proxy.crt')}",
            f"--proxy-client-key-file={self._file('front-proxy.key')}",
        )

    def start_controller_manager(self) -> None:
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={self._file('system-kube-controller-manager.kubeconfig')}",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self._file('service-accounts.key')}",
            f"--root-ca-file={self._file('authority.crt')}",
            f"--cluster-cidr={PODS}",
            f"--node-monitor-grace-period={NODE_GRACE}s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )

    def start_scheduler(self) -> None:
        kubeconfig = self._file("system-kube-scheduler.kubeconfig")
        self._start("kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false")

    @property
    def starters(self) -> dict[str, Callable[[], None]]:
        """How each of its processes is started."""
        return {
            "etcd": self.start_etcd,
            "kube-apiserver": self.start_apiserver,
            "kube-controller-manager": self.start_controller_manager,
            "kube-scheduler": self.start_scheduler,
        }

    def _start(self, component: str, *arguments: str) -> None:
        self.machine.daemon(component, str(self.binaries / component), *arguments)

    def _file(self, name: str) -> Path:
        return self.folder / name


def link_components(kubernetes: Path, folder: Path) -> None:
    """Give the one binary all its names."""
    folder.mkdir()
    for name in (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "kubelet",
        "kubectl",
    ):
        (folder / name).symlink_to(kubernetes)
