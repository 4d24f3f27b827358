"""How many cores this process may use."""

import math
import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores() -> int:
    """The cores of the process's affinity, or fewer where a control group's quota gives less time."""
    return max(1, min(len(os.sched_getaffinity(0)), int(min(map(math.ceil, _quotas()), default=os.cpu_count() or 1))))


def _quotas() -> list[float]:
    """Cores' worth of time that each control group from this process's up to the root grants."""
    found = []
    for line in _lines(MEMBERSHIP):
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / "cpu" if controllers else CGROUPS
        folder = root / group.lstrip("/")
        for place in (folder, *folder.parents):
            if place.is_relative_to(root):
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
                words = [word for name in names for line in _lines(place / name) for word in line.split()]
                if len(words) == 2 and words[0] not in ("max", "-1"):
                    found.append(int(words[0]) / int(words[1]))
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
