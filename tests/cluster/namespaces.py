"""A machine within this machine: a process that holds a network, mounts and processes of its own.

All of it ends with that process, as the kernel sees to it: containers, links, tables, mounts. The process ends
with the one who started it, however that ends.
"""

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}


@dataclass
class Machine:
    """Started by `start`; `within` another one, it ends with that one too, and its processes are seen there."""

    name: str
    folder: Path
    pause: Path
    within: "Machine | None" = None
    pid: int = 0
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self) -> None:
        """Make the namespaces, and give them folders of their own where programs write by default."""
        self.folder.mkdir(exist_ok=True)
        propagation = "unchanged" if self.within else "private"
        command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["--propagation", propagation, str(self.pause)]
        before = self.within.enter("mount", "pid") if self.within else []
        self._spawn("pause", ["setpriv", "--pdeathsig", "KILL", *before, *command])
        self.pid = self._first().pid
        (self.folder / "pid").write_text(str(self.pid))
        private = "".join(
            f"mkdir -p {self.folder}/{name}; mount --bind {self.folder}/{name} /var/{name}\n" for name in ("lib", "log")
        )
        # A kubelet insists on settings of the whole kernel, which are not ours to change: it sees what it wants to see.
        settings = "mkdir /run/sysctl\n"
        for setting, value in KERNEL_SETTINGS.items():
            shown = f"/run/sysctl/{Path(setting).name}"
            settings += f"echo {value} > {shown}; mount --bind {shown} /proc/sys/{setting}\n"
        # Connections of killed processes would keep the network for minutes.
        orphans = "echo 1 > /proc/sys/net/ipv4/tcp_orphan_retries"
        self.shell(f"mount -t tmpfs -o mode=755 run /run\n{private}{settings}{orphans}; ip link set lo up")

    def enter(self, *kinds: str) -> list[str]:
        """What a command starts with to run here; in all namespaces if none is named."""
        return ["nsenter", "--target", str(self.pid), *(f"--{kind}" for kind in kinds or ("net", "mount", "pid")), "--"]

    def run(self, *command: str, input: str | None = None) -> str:
        """Standard output of a command that succeeds."""
        done = subprocess.run([*self.enter(), *command], input=input, capture_output=True, text=True, env=environment())
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def shell(self, script: str) -> str:
        return self.run("sh", "-euc", script)

    def daemon(self, name: str, *command: str) -> None:
        """Start a process; what it says goes to a log."""
        self._spawn(name, [*self.enter(), *command])

    def kill(self, name: str) -> None:
        """End a process of that name at once, whoever started it."""
        here = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = [process for process in psutil.process_iter() if _is(process, name, here)]
        assert found, f"{self.name}: no process {name}"
        for process in found:
            process.kill()
        psutil.wait_procs(found)
        if name in self.processes:
            self.processes.pop(name).wait()

    def stop(self) -> None:
        """End all that runs here, as if power were cut."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._first().kill()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()

    def logs(self, lines: int = 15) -> str:
        """The end of each process's log."""
        logs = ((log.name, log.read_text(errors="replace").splitlines()) for log in sorted(self.folder.glob("*.log")))
        return "\n".join("\n".join((f"==> {self.name}/{name}", *text[-lines:])) for name, text in logs)

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _first(self) -> psutil.Process:
        """The process that holds the namespaces: the last of those that made them."""
        process = psutil.Process(self.processes["pause"].pid)
        deadline = time.monotonic() + 60
        while process.name() in ("setpriv", "nsenter", "unshare"):
            if self.processes["pause"].poll() is not None:
                raise psutil.NoSuchProcess(process.pid)
            assert time.monotonic() < deadline, f"{self.name}: not started\n{self.logs()}"
            process = next(iter(process.children()), process)
            time.sleep(0.01)
        return process


def _is(process: psutil.Process, name: str, space: str) -> bool:
    """Whether a process has this name and is in that namespace of processes."""
    try:
        return process.name() == name and os.readlink(f"/proc/{process.pid}/ns/pid") == space
    except (psutil.Error, OSError):  # it has ended
        return False


def environment() -> dict[str, str]:
    """No more than programs of a cluster need: no proxies, no credentials of this machine's user."""
    return {"PATH": PATH, "HOME": "/root", "TMPDIR": os.environ.get("TMPDIR", "/tmp")}
