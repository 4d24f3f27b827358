"""What a cluster needs of this machine, and what it has on it: a folder, a link, control groups."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from support.required import isolation

from . import build, cgroups, network
from .namespaces import PATH
from .node import CNI_PLUGINS

PREFIX = "locat-cluster-"
COMMANDS = ("containerd", "runc", "ctr", "iptables", "ip", "unshare", "nsenter", "setpriv")


def forbidden() -> str:
    """Why no cluster can be started here, whatever is installed; empty if one can."""
    return isolation() or cgroups.missing()


def missing() -> str:
    """Why no cluster can be started here; empty if one can."""
    if reason := forbidden():
        return reason
    absent = [name for name in COMMANDS if shutil.which(name, path=PATH) is None]
    absent += [] if (CNI_PLUGINS / "ptp").exists() else ["containernetworking-plugins"]
    if absent:
        return f"not installed: {', '.join(absent)}: `make kubernetes` installs them"
    return build.missing()


def make_folder() -> tuple[Path, IO[str]]:
    """A folder for a new cluster, and the lock on it, which lives as long as this process or until it is closed."""
    with build.locked("start"):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = (folder / "owner").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        print(os.getpid(), file=lock, flush=True)
    return folder, lock


def link_name(folder: Path) -> str:
    """The network interface by which this machine reaches the cluster."""
    return f"lk-{folder.name.removeprefix(PREFIX)}"


def remove(folder: Path) -> None:
    """Remove what is left of a cluster whose processes have ended."""
    with build.locked("start"):
        _remove(folder)


def remove_leftovers() -> None:
    """Remove what is left of clusters whose owners have died; their processes died with them."""
    with build.locked("start"):
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            with _unowned(folder) as dead:
                if dead:
                    _remove(folder)


def _remove(folder: Path) -> None:
    network.disconnect_host(link_name(folder))
    deadline = time.monotonic() + 10
    while cgroups.left(folder.name):
        try:
            cgroups.remove(folder.name)
        except OSError:  # the kernel takes a moment to notice that a group is empty
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    shutil.rmtree(folder)


@contextlib.contextmanager
def _unowned(folder: Path) -> Iterator[bool]:
    """Whether nobody holds the lock on a cluster's folder."""
    with (folder / "owner").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
