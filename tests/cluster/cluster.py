"""The whole cluster: started, used, hurt and taken down."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from . import addons, build, host, images, network, volumes
from .certificates import Authority
from .control_plane import ControlPlane, link_components
from .namespaces import Machine, environment
from .node import Node
from .pods import jobset, pod_spec

NODES = ("node-1", "node-2")
START_TIMEOUT = 300.0


@dataclass
class Cluster:
    """One cluster, in a folder of its own; `start` and `stop` are for one use each.

    It ends with the process that started it, whatever becomes of that; the next start removes the folder then.
    """

    folder: Path = field(default_factory=Path)
    nodes: dict[str, Node] = field(default_factory=dict)
    kubeconfig: Path = field(default_factory=Path)
    _hub: Machine = field(init=False)
    _control_plane: ControlPlane = field(init=False)
    _authority: Authority = field(init=False)
    _lock: IO[str] = field(init=False)
    _importing: threading.Lock = field(init=False, default_factory=threading.Lock)

    @classmethod
    def attach(cls, folder: Path) -> "Cluster":
        """One that another process has started, and ends."""
        machines = {}
        for name in ("hub", *NODES):
            pid = int((folder / name / "pid").read_text())
            machines[name] = Machine(name, folder / name, folder / "bin" / "pause", pid=pid)
        hub = machines.pop("hub")
        nodes = {
            name: Node(number, machine, folder / "bin", f"{folder.name}/{name}")
            for number, (name, machine) in enumerate(machines.items(), start=1)
        }
        cluster = cls(folder, nodes, folder / "control-plane" / "admin.kubeconfig")
        cluster._hub = hub
        cluster._control_plane = ControlPlane(hub, folder / "control-plane", folder / "bin")
        return cluster

    def start(self) -> None:
        """Build what is not built yet, start everything; returns when JobSets can be created."""
        kubernetes, probe = build.build(build.KUBERNETES), build.build(build.PROBE)
        basic = (addons.COREDNS, addons.JOBSET)
        own = [images.Image(images.PAUSE, probe, "/pause"), images.Image(images.PROBE, probe, "/probe")]
        archive = images.archive([*own, *(addon.image for addon in basic)])
        host.remove_leftovers()
        self.folder, self._lock = host.make_folder()
        binaries = self.folder / "bin"
        link_components(kubernetes, binaries)
        (binaries / "pause").symlink_to(probe)
        (binaries / "policies").symlink_to(build.build(build.POLICIES))
        try:
            self._start_control_plane(binaries)
            self._start_nodes(binaries, archive)
            for addon in basic:
                addon.install(self.kubectl)
            for addon in basic:
                addon.wait(self.kubectl)
            self.until(self._takes_jobsets, "JobSet's webhooks")
        except BaseException as error:
            error.add_note(self.logs())
            self.stop()
            raise

    def stop(self) -> None:
        """End every process; nothing of the cluster is left on this machine."""
        if hasattr(self, "_hub"):
            self._hub.stop()
            for node in self.nodes.values():
                node.machine.stop()
        host.remove(self.folder)
        self._lock.close()

    @property
    def client(self) -> tuple[str, ...]:
        """What a `kubectl` command for this cluster starts with."""
        binary, cache = self.folder / "bin" / "kubectl", self.folder / "cache"
        return (str(binary), f"--kubeconfig={self.kubeconfig}", f"--cache-dir={cache}")

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        """Standard output of a `kubectl` that succeeds; RuntimeError with what it said otherwise."""
        done = subprocess.run(
            [*self.client, *arguments], input=input, capture_output=True, text=True, env=environment()
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def forwarded(self, namespace: str, target: str, port: int) -> Iterator[str]:
        """Address at which this machine finds a port of a pod or service ("service/mlflow")."""
        command = [*self.client, "port-forward", "-n", namespace, target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as forward:
            assert forward.stdout is not None
            said = forward.stdout.readline()  # Forwarding from 127.0.0.1:40123 -> 5000
            try:
                yield f"http://{said.split()[2]}"
            finally:
                forward.terminate()

    def until(self, condition: Callable[[], object], what: str, timeout: float = START_TIMEOUT) -> None:
        """Wait for a condition; a `kubectl` in it may fail meanwhile."""
        deadline, reason = time.monotonic() + timeout, ""
        while True:
            try:
                if condition():
                    return
            except RuntimeError as error:
                reason = str(error)
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {timeout:.0f} s {reason}")
            time.sleep(0.2)

    def logs(self) -> str:
        """The end of each process's log."""
        machines = [*([self._hub] if hasattr(self, "_hub") else []), *(node.machine for node in self.nodes.values())]
        return "\n".join(machine.logs() for machine in machines)

    # What pods need

    def import_image(self, archive: Path, name: str = "") -> None:
        """Give all nodes the images of an archive (as `docker save` writes it), the first one also under a name.

        The name is a whole one, such as `locat.test/probe:1`. One archive at a time.
        """
        first = None
        with self._importing:
            for node in self.nodes.values():
                imported = node.import_image(archive, alike=first)
                if name:
                    node.tag_image(imported[0], name)
                first = first or node

    def volume(self, name: str, namespace: str, *, size: str = "1Gi", limit: str = "", claim: bool = True) -> Path:
        """A folder that anybody may write to, as a volume for the claim of that name, which is made as well.

        With a limit (64M) the folder takes no more than that. Returns where the test finds it.
        """
        folder = self.folder / "volumes" / f"{namespace}-{name}"
        path = volumes.make_folder(self._hub, folder, limit)
        volume = volumes.persistent_volume(folder, namespace, name, size)
        made = [volume, *([volumes.claim_of(volume, namespace, name, size)] if claim else [])]
        self.kubectl("apply", "-f", "-", input=volumes.to_yaml(*made))
        return path

    def install_kueue(self) -> None:
        """Install Kueue; returns when its objects can be created."""
        self._install(addons.KUEUE)
        flavor = '{"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "trial"}}'
        self.until(lambda: self.kubectl("create", "--dry-run=server", "-f", "-", input=flavor), "Kueue's webhooks")

    def add_kwok_nodes(self, count: int, gpus: int = 8) -> None:
        """Add nodes that only pretend to run pods, and say at once of those of Jobs that they are done.

        They are tainted nvidia.com/gpu, so that only pods that ask for GPUs get there.
        """
        before = len(self.kubectl("get", "nodes", "-l", "type=kwok", "-o", "name").splitlines())
        self._install(addons.KWOK)
        self.kubectl("apply", "--server-side", "-f", "-", input=addons.fake_nodes(before, count, gpus))
        names = [f"kwok-{number}" for number in range(before, before + count)]
        self.until(lambda: self.ready_nodes(*names) == count, "kwok nodes", timeout=300)

    def ready_nodes(self, *names: str) -> int:
        """How many nodes (of these) are ready."""
        condition = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
        lines = self.kubectl("get", "nodes", "-o", f"jsonpath={condition}").splitlines()
        ready = [line.removesuffix(" True") for line in lines if line.endswith(" True")]  # a new node says nothing yet
        return sum(not names or name in names for name in ready)

    # What may happen to a cluster

    def cut(self, node: str) -> None:
        """Cut a node's network."""
        network.cut(self._hub, self.nodes[node].machine)

    def join(self, node: str) -> None:
        """Undo `cut`."""
        network.join(self._hub, self.nodes[node].machine)

    def restart_apiserver(self) -> None:
        """Kill the API server and start it again; returns when it answers."""
        self.kill("hub", "kube-apiserver")
        self.start_again("hub", "kube-apiserver")
        self._until_api_answers()

    def restart_jobset_controller(self) -> None:
        """Kill the JobSet controller's pod; returns when the next one takes JobSets."""
        addons.JOBSET.kill(self.kubectl)
        self.until(self._takes_jobsets, "JobSet's webhooks")

    def kill(self, machine: str, process: str) -> None:
        """Kill a process of the control plane ("hub", "kube-scheduler") or of a node ("node-2", "kubelet")."""
        (self._hub if machine == "hub" else self.nodes[machine].machine).kill(process)

    def start_again(self, machine: str, process: str) -> None:
        """Undo `kill`; returns at once, but for containerd, without which a kubelet does not start."""
        (self._control_plane if machine == "hub" else self.nodes[machine]).starters[process]()
        if process == "containerd":
            self.until(self.nodes[machine].containerd_answers, f"{machine}'s containerd")

    def _start_control_plane(self, binaries: Path) -> None:
        self._hub = Machine("hub", self.folder / "hub", binaries / "pause")
        self._hub.start()
        volumes.share(self._hub, self.folder / "volumes")
        network.make_switch(self._hub)
        address = network.connect_host(self._hub, host.link_name(self.folder))
        self._control_plane = ControlPlane(self._hub, self.folder / "control-plane", binaries)
        self._authority = self._control_plane.prepare(address)
        self.kubeconfig = self._authority.kubeconfig(f"https://{address}:6443", "admin", "system:masters")
        self._control_plane.start()

    def _start_nodes(self, binaries: Path, archive: Path) -> None:
        for number, name in enumerate(NODES, start=1):
            machine = Machine(name, self.folder / name, binaries / "pause", within=self._hub)
            machine.start()
            network.plug(self._hub, machine, number)
            network.queue_connections(machine)
            self.nodes[name] = Node(number, machine, binaries, f"{self.folder.name}/{name}")
            self.nodes[name].prepare(self._authority)
            self.nodes[name].start_containerd()
        for node in self.nodes.values():
            self.until(node.containerd_answers, f"{node.name}'s containerd")
        self.import_image(archive)
        self._until_api_answers()
        for node in self.nodes.values():
            node.start_kubelet()
            node.start_proxy()
            node.start_policies()
        self.until(lambda: self.ready_nodes() == len(self.nodes), "nodes")

    def _install(self, addon: addons.Addon) -> None:
        if addon.installed(self.kubectl):
            return
        self.import_image(images.archive([addon.image]))
        addon.install(self.kubectl)
        addon.wait(self.kubectl)

    def _until_api_answers(self) -> None:
        self.until(lambda: self.kubectl("get", "--raw", "/readyz") == "ok", "API server")

    def _takes_jobsets(self) -> bool:
        """The least JobSet, created and not kept: an answer means that its webhooks work."""
        trial = jobset("trial", "default", ("main", pod_spec("exit", "0")))
        return "trial" in self.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(trial))
