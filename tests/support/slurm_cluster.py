"""A Slurm cluster of two nodes on this machine, of its own daemons, ports and folder; needs root."""

import contextlib
import math
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

DAEMONS = ("munged", "slurmctld", "slurmd")
NODE_VARIABLE = "LOCAT_TEST_NODE"
"""Which slurmd a process descends from."""
START_TIMEOUT = 60.0
SETTLE = 5.0
"""Seconds after which the credentials of a requeued job's earlier start are no longer in the way."""
SBIN = "/usr/sbin:/usr/local/sbin"

CONFIGURATION = """
ClusterName=locat
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/%n.spool
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=15
KillWait=5
UnkillableStepTimeout=10
MinJobAge=600
SchedulerParameters=sched_min_interval=100000,bf_interval=2
GresTypes=gpu
{nodes}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 DefMemPerCPU=100 State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 RealMemory=16000 Gres=gpu:a100:2"


def missing() -> str:
    """Why no cluster can be started here; empty if one can."""
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    absent = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=path) is None]
    if absent:
        return f"not installed: {', '.join(absent)}: `make slurm` installs them"
    return "" if os.geteuid() == 0 else "slurmd is run by root only: run as root"


@dataclass
class Cluster:
    """Daemons and their folder; `start` and `stop` are for one use each."""

    folder: Path
    daemons: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    _requeued: dict[str, float] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What a shell needs to ask this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self) -> None:
        """Start all daemons; returns when both nodes can take jobs."""
        self.folder.chmod(0o755)
        (self.folder / "state").mkdir()
        self.ports = dict(zip(("controller", "n1", "n2"), _free_ports(3), strict=True))
        host = socket.gethostname().split(".")[0]
        nodes = "\n".join(NODE.format(name=name, host=host, port=self.ports[name]) for name in ("n1", "n2"))
        text = CONFIGURATION.format(host=host, folder=self.folder, nodes=nodes, controller=self.ports["controller"])
        (self.folder / "slurm.conf").write_text(text)
        devices = "".join(f"NodeName=n[1-2] Name=gpu Type=a100 File=/dev/{name}\n" for name in ("null", "zero"))
        (self.folder / "gres.conf").write_text(devices)  # any two devices
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        paths = {name: f"{self.folder}/munge.{name}" for name in ("socket", "pid", "log", "seed")}
        options = ["--foreground", "--force", f"--key-file={key}", f"--socket={paths['socket']}"]
        options += [f"--{name}-file={paths[name]}" for name in ("pid", "log", "seed")]
        self._run("munged", "munged", *options)
        self._until(lambda: Path(paths["socket"]).exists(), "munged")
        self.start_controller()
        for node in ("n1", "n2"):
            self.start_node(node)
        self.until_ready()

    def until_ready(self) -> None:
        """Wait until both nodes can take jobs: a controller does not know at once what its nodes are like."""
        states = ["sinfo", "--noheader", "--Node", "--format=%N %T"]
        able = {f"{node} {state}" for node in ("n1", "n2") for state in ("idle", "mixed", "allocated")}
        self._until(lambda: len(able.intersection(self.ask(*states).splitlines())) == 2, "nodes")

    def start_controller(self) -> None:
        self._run("slurmctld", "slurmctld", "-D")
        self._until(lambda: "UP" in self.ask("scontrol", "ping"), "slurmctld")

    def stop_controller(self) -> None:
        self.daemons["slurmctld"].terminate()
        self.daemons.pop("slurmctld").wait()

    def start_node(self, node: str) -> None:
        self._run(node, "slurmd", "-D", "-N", node, **{NODE_VARIABLE: node})

    def kill(self, name: str) -> None:
        """End a daemon at once; of a node, with the processes of its jobs: as if it lost power."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()
        for process in _of_node(self.folder, name):
            process.kill()

    def stop(self) -> None:
        """End every job and daemon; nothing of the cluster is left."""
        if "slurmctld" in self.daemons:
            self.ask("scancel", "--user=root")
            time.sleep(1)
        for name in reversed(list(self.daemons)):
            self.daemons[name].send_signal(signal.SIGTERM)
            try:
                self.daemons[name].wait(10)
            except subprocess.TimeoutExpired:
                self.daemons[name].kill()
                self.daemons[name].wait()
        for node in ("n1", "n2"):
            for process in _of_node(self.folder, node):
                process.kill()
        for name in ("munge.socket", "munge.socket.lock"):
            (self.folder / name).unlink(missing_ok=True)

    def ask(self, *command: str) -> str:
        """Standard output of a Slurm command, whether it succeeds or not."""
        environment = {**os.environ, **self.environment}
        answer = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
        return answer.stdout

    def hurry(self) -> None:
        """Let requeued jobs begin soon: Slurm has them wait two minutes, of which only seconds are needed."""
        for line in self.ask("squeue", "--noheader", "--states=pending", "--format=%A %r").splitlines():
            job, reason = line.split(maxsplit=1)
            since = self._requeued.setdefault(job, time.monotonic()) if reason == "BeginTime" else math.inf
            if time.monotonic() > since + SETTLE:
                del self._requeued[job]
                self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")

    def _run(self, name: str, *command: str, **variables: str) -> None:
        environment = {**os.environ, **self.environment, **variables, "PATH": f"{os.environ['PATH']}:{SBIN}"}
        with (self.folder / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not up\n{self.logs()}")
            time.sleep(0.1)

    def logs(self) -> str:
        """The end of each daemon's log."""
        logs = [*self.folder.glob("*.log"), *self.folder.glob("*.out")]
        return "\n".join(f"==> {log.name}\n{log.read_text(errors='replace')[-2000:]}" for log in logs)


def _of_node(folder: Path, node: str) -> list[psutil.Process]:
    """Processes of jobs on a node, after their keepers, who would tell the controller how they ended.

    All inherit what slurmd was started with, but the keepers (slurmstepd) write their titles over it.
    """
    keepers, found = [], []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            here = environment.get("SLURM_CONF") == str(folder / "slurm.conf")
            if here and node in (environment.get("SLURMD_NODENAME"), environment.get(NODE_VARIABLE)):
                found.append(process)
                parent = process.parent()
                if parent and parent.name() == "slurmstepd" and parent not in keepers:
                    keepers.append(parent)
    return [*keepers, *found]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
