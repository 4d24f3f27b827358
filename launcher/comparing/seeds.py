"""Jobs that differ in their seed only, as one row: the mean of each number, and how far seeds scatter."""

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import takewhile

from launcher.comparing.rows import Row
from launcher.comparing.settings import SEED, plain

SPREAD = " sd"
"""Ends the name of a standard deviation (of a sample: n - 1)."""
COUNT = " n"
"""Ends the name of how many seeds have the number, where that is not all of them."""
SEEDS = "seeds"


def over_seeds(rows: Iterable[Row]) -> tuple[list[Row], int]:
    """A row for the jobs that compute the same but for seeds, theirs and those of the jobs they read; and how many
    jobs were left out, since the same was computed again: of these the newest with a number counts."""
    newest: dict[str, Row] = {}
    total = 0
    for row in rows:
        total += 1
        known = newest.setdefault(row.identity, row)
        if (bool(row.metrics), row.started) > (bool(known.metrics), known.started):
            newest[row.identity] = row
    groups: dict[str, list[Row]] = {}
    for row in newest.values():
        groups.setdefault(row.but_for_seeds, []).append(row)
    scattered = {SEED}.union(*(map(_scattered, groups.values())))
    return [_joined(group, scattered) for group in groups.values()], total - len(newest)


def _scattered(group: Sequence[Row]) -> set[str]:
    """Keys in which jobs of a group differ, such as an axis of the matrix that gives the seed."""
    keys = {key for row in group for key in row.settings}
    return {key for key in keys if len({plain(row.settings.get(key)) for row in group}) > 1}


def _joined(group: Sequence[Row], scattered: set[str]) -> Row:
    """One row for a group, without the keys that tell its jobs apart, here or in another group."""
    about = {key: _common([row.about[key] for row in group]) for key in ("run", "job")}
    status = ", ".join(dict.fromkeys(row.about["status"] or "not begun" for row in group))
    seeds = " ".join(str(row.settings.get(SEED, "")) for row in group)
    same = {key: value for key, value in group[0].settings.items() if key not in scattered}
    metrics: dict[str, float] = {}
    for name in dict.fromkeys(name for row in group for name in row.metrics):
        values = [row.metrics[name] for row in group if name in row.metrics]
        metrics |= {name: _mean(values)}
        metrics |= {f"{name}{SPREAD}": _deviation(values)} if len(values) > 1 else {}
        metrics |= {f"{name}{COUNT}": len(values)} if len(values) < len(group) else {}
    return Row({**about, "status": status, SEEDS: seeds}, same, metrics)


def _common(names: Sequence[str]) -> str:
    """A name, or what several begin and end with: `pretrain-*-ade20k`."""
    first, *others = dict.fromkeys(names)
    if not others:
        return first
    begin = _beginning(names)
    end = _beginning([name[len(begin) :][::-1] for name in names])[::-1]
    return f"{begin}*{end}"


def _beginning(names: Sequence[str]) -> str:
    """What all begin with."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letter for letter, *_ in alike)


def _mean(values: Sequence[float]) -> float:
    return statistics.mean(values) if all(map(math.isfinite, values)) else math.nan


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan
