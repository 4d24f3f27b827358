"""Control groups that containers of the cluster are put in; both versions of the kernel's interface."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
NEEDED = ("cpu", "cpuset", "memory", "pids")


def missing() -> str:
    """Why there can be no control groups; empty if there can."""
    absent = [name for name in NEEDED if name not in _controllers()]
    if absent:
        return f"no control groups for {', '.join(absent)} under {ROOT}: start the container with --privileged"
    return (
        ""
        if all(os.access(folder, os.W_OK) for folder in _hierarchies())
        else f"{ROOT} is read-only: start the container with --privileged"
    )


def make(group: str) -> None:
    """Make a group, in every hierarchy, that may hold processes and further groups."""
    for hierarchy in _hierarchies():
        folder = hierarchy
        for part in Path(group).parts:
            if (folder / "cgroup.subtree_control").exists():
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in NEEDED))
            parent, folder = folder, folder / part
            folder.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty at first, and no process may enter
                if (parent / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((parent / name).read_text())


def remove(group: str) -> None:
    """Remove a group with those within; their processes have ended."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / group, topdown=False):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(folder)


def left(group: str) -> list[Path]:
    """The folders of a group that still exist."""
    return [hierarchy / group for hierarchy in _hierarchies() if (hierarchy / group).exists()]


def _hierarchies() -> Iterator[Path]:
    if (ROOT / "cgroup.controllers").exists():
        yield ROOT
        return
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup":
            yield Path(folder)


def _controllers() -> list[str]:
    if (ROOT / "cgroup.controllers").exists():
        return (ROOT / "cgroup.controllers").read_text().split()
    return [name for folder in _hierarchies() for name in folder.name.split(",")]
