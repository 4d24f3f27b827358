"""A cluster leaves nothing on this machine, however it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from . import cgroups
from .host import link_name, remove_leftovers

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

TESTS = Path(__file__).parents[1]


@pytest.fixture
def owner(cluster_possible: None) -> Iterator["subprocess.Popen[str]"]:
    """A process that has a cluster, and no other parts of one than `python -m cluster`."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "cluster"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield process
        process.kill()
    remove_leftovers()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_cluster(owner: "subprocess.Popen[str]", end: signal.Signals) -> None:
    tables, settings = _tables(), _settings()
    assert owner.stdout is not None
    shown = next(match for line in owner.stdout if (match := re.search(r"PATH=(/\S+)/bin", line)))
    folder = Path(shown[1])
    assert len(_processes(folder)) > 10
    assert cgroups.left(folder.name)
    assert not _mounts(folder)  # while it runs, too
    assert (_tables(), _settings()) == (tables, settings)

    owner.send_signal(end)
    owner.wait(30)
    if end is signal.SIGKILL:
        remove_leftovers()  # what the next start does

    assert not _processes(folder)
    assert not folder.exists()
    assert not cgroups.left(folder.name)
    assert not (Path("/sys/class/net") / link_name(folder)).exists()
    assert not _mounts(folder)
    assert (_tables(), _settings()) == (tables, settings)


def _processes(folder: Path) -> list[psutil.Process]:
    """Those that were started with something of this folder, and all that share a namespace with them."""
    found, spaces = [], set()
    processes = list(psutil.process_iter(["cmdline"]))
    for process in processes:
        if any(str(folder) in argument for argument in process.info["cmdline"] or ()):
            spaces.add(_space(process))
    spaces -= {None, _space(psutil.Process())}
    for process in processes:
        if _space(process) in spaces:
            found.append(process)
    return found


def _space(process: psutil.Process) -> str | None:
    try:
        return os.readlink(f"/proc/{process.pid}/ns/mnt")
    except OSError:
        return None


def _mounts(folder: Path) -> list[str]:
    """Those of this machine that only a cluster makes; others may come and go."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if re.search(f"{folder}|/var/lib/kubelet|/run/containerd|/run/netns", line)]


def _tables() -> str:
    """The rules of this machine's firewall, and its routes; each cluster has one route of its own."""
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout
    return re.sub(r"^#.*\n|\[\d+:\d+\]", "", rules, flags=re.MULTILINE) + re.sub(r".*dev lk-.*\n", "", routes)


def _settings() -> list[str]:
    names = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
    return [Path("/proc/sys", name).read_text() for name in names]
