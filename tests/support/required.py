"""What a user's machine may lack, and CI may not."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""Those that containers lack unless they are given them, by the kernel's numbers."""
MOUNT = ("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt")


def require(missing: str) -> None:
    """Skip the test, or fail it in CI, where something is missing: the reason and its remedy, empty if nothing is."""
    if missing:
        pytest.fail(missing, pytrace=False) if "CI" in os.environ else pytest.skip(missing)


def isolation() -> str:
    """Why no mounts, networks and other namespaces can be made here; empty if they can."""
    if os.geteuid() != 0:
        return "namespaces and mounts are made by root only: run as root"
    absent = [name for name, number in CAPABILITIES.items() if not _effective() >> number & 1]
    if absent:
        return f"no {' and '.join(absent)}: start the container with --privileged"
    if subprocess.run(MOUNT, capture_output=True, check=False).returncode:
        return "namespaces and mounts are refused: start the container with --privileged"
    return ""


def space(folder: Path, gigabytes: int) -> str:
    """Why that much cannot be written to a folder, which may not exist yet; empty if it can."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free // 10**9
    return f"{folder} has {free} GB free: {gigabytes} GB are needed" if free < gigabytes else ""


def _effective() -> int:
    """This process's effective capabilities, a bit each."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapEff:")), 16)
