"""What this machine offers to jobs."""

import hashlib
import math
import os
import socket
from contextlib import suppress
from pathlib import Path

ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


def host() -> str:
    """This machine's name, as users know it."""
    return socket.gethostname()


def machine_id() -> str:
    """What tells this machine from another one of its name, for as long as it is installed; empty where that is not
    told, as in many a container."""
    for file in ID_FILES:
        with suppress(OSError):
            if found := file.read_text(errors="replace").strip():
                return hashlib.sha256(found.encode()).hexdigest()[:12]  # systemd asks that the number be kept at home
    return ""


def identity() -> str:
    """This machine among all that share a file system: what another one recorded is not looked for here."""
    return " ".join(filter(None, (host(), machine_id())))


def is_other(name: str, its_id: str = "") -> bool:
    """Whether this is the name, or the name and number, of another machine, and not of this one or unknown."""
    return name not in ("", host()) or (bool(its_id) and machine_id() not in ("", its_id))


def boot() -> str:
    """Which start of the machine this is; empty where that is not told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def cores() -> int:
    """Cores this process may use: its affinity, within the cgroup's quota."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota(Path("/sys/fs/cgroup"))
    return allowed if quota is None else max(1, min(allowed, math.floor(quota)))


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of time the container gets; None if unlimited."""
    try:
        if (cgroup / "cpu.max").exists():  # cgroup v2
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text()
    except OSError:
        return None
    return None if quota in ("max", "-1") else int(quota) / int(period)


def cpu() -> str:
    """Model of the processor; empty where that is not told."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return ""


def gpu_models() -> tuple[str, ...]:
    """Models of all NVIDIA GPUs of this machine, as the driver tells them; a container may not see that."""
    found = []
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with suppress(OSError):
            words = dict(line.partition(":")[::2] for line in information.read_text(errors="replace").splitlines())
            found.append(words.get("Model", "").strip() or "unknown")
    return tuple(found)


def gpus() -> list[str]:
    """Names of the usable GPUs, as CUDA_VISIBLE_DEVICES takes them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    devices = [node for node in Path("/dev").glob("nvidia*") if node.name.removeprefix("nvidia").isdigit()]
    return [str(index) for index in range(len(devices))]
