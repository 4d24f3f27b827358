"""A row per job with only those columns in which jobs differ, then their numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from launcher.comparing import query
from launcher.comparing.columns import differing
from launcher.comparing.numbers import DEFAULT, Log, Wanted
from launcher.comparing.query import Condition
from launcher.comparing.rows import Row, read_rows, with_numbers
from launcher.comparing.seeds import SEEDS, over_seeds
from launcher.runs.folder import RunFolder
from locat.contract.errors import UserError
from locat.contract.problems import known_words

ABOUT = ("run", "job", "status", SEEDS)
"""Columns that are neither settings nor metrics; a setting that is called like one is `config.NAME`."""
LOOKED_AT = 50
"""Logs, and records of each, in which names of metrics are looked for that a user may have meant."""


@dataclass(frozen=True)
class Table:
    """What is shown."""

    columns: list[str]
    metrics: frozenset[str]
    """Which of the columns."""
    rows: list[Mapping[str, Any]]
    """Column -> value; of what a row has not there is no key. A row has settings, too, that are no columns."""


def compare(
    runs: Sequence[RunFolder],
    wanted: Sequence[Wanted],
    conditions: Iterable[Condition],
    sort: str | None,
    seeds: bool,
    notes: list[str],
) -> Table:
    """The jobs of `runs` that have numbers and for which all conditions hold.

    Args:
        sort: what rows are sorted by, with `-` before it from the largest; by default as their runs have them.
        seeds: whether jobs that differ in their seed only are one row.
        notes: gets what a user should know beside the table.

    Raises:
        UserError: a condition, `sort` or a metric names what no job has; or a file of a run is damaged.
    """
    damaged: list[str] = []
    rows = with_numbers(row for run in runs for row in read_rows(run, wanted, seeds, damaged))
    notes += [f"{log}: lines that are no records are left out" for log in damaged]
    _check_recorded(runs, wanted, rows)
    named = _Names(rows)
    for condition in conditions:
        named.check("--where", condition.key)
        rows = [row for row in rows if condition.holds(named.values(row))]
    if seeds:
        rows, repeated = over_seeds(rows)
        if repeated:
            notes.append(f"{repeated} jobs computed again what another did; of these the newest count")
        named = _Names(rows)
    shown = [named.values(row) for row in rows]
    if sort is not None:
        named.check("--sort", key := sort.removeprefix("-"))
        shown = query.in_order(shown, key, is_descending=sort.startswith("-"))
    columns = [*ABOUT[:3], *map(named.setting, differing(rows)), *([SEEDS] if seeds else [])]
    metrics = [named.metric(name) for name in _in_order(rows, wanted)]
    return Table([*columns, *metrics], frozenset(metrics), shown)


class _Names:
    """What the columns of some rows are called."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._metrics = {name for row in rows for name in row.metrics}
        self._known = {name for row in rows for name in self.values(row)}

    def setting(self, key: str) -> str:
        return f"config.{key}" if key in ABOUT or key in self._metrics else key

    def metric(self, name: str) -> str:
        return f"metric.{name}" if name in ABOUT else name

    def values(self, row: Row) -> Mapping[str, Any]:
        """All that is known of a row, by the names of columns."""
        settings = {self.setting(key): value for key, value in row.settings.items()}
        return {**row.about, **settings, **{self.metric(name): value for name, value in row.metrics.items()}}

    def check(self, option: str, key: str) -> None:
        """Raise UserError if no row has this key."""
        if self._known and key not in self._known:
            metric = " (a metric must be among those that --metric names)" if "/" in key or "@" in key else ""
            raise UserError(f"{option}: no job has {key!r}{metric}{known_words(key, self._known)}")


def _in_order(rows: Iterable[Row], wanted: Sequence[Wanted]) -> list[str]:
    """The names of metrics that any row has, in the order in which they are wanted."""
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    return sorted(names, key=lambda name: next(i for i, each in enumerate(wanted) if name.startswith(each.beginning)))


def _check_recorded(runs: Sequence[RunFolder], wanted: Sequence[Wanted], rows: Sequence[Row]) -> None:
    """Raise UserError if a metric that a user wants was recorded by no job; or if no job has any, by default."""
    having = {name for row in rows for name in row.metrics}
    missing = [each for each in wanted if not any(map(each.takes, having))]
    if missing and (wanted != DEFAULT or not having):
        name, recorded = missing[0].name, _recorded(runs)
        how = f" at step {missing[0].when}" if name in recorded else known_words(name, recorded)
        raise UserError(f"no job of {', '.join(run.name for run in runs[:3])} has recorded {name!r}{how}")


def _recorded(runs: Sequence[RunFolder]) -> list[str]:
    """Names of metrics that some jobs have recorded."""
    logs = [Log(run.job(job.name).metrics) for run in runs for job in run.plan().jobs]
    recent = (record for log in logs[:LOOKED_AT] for record in islice(log.newest_first(["metrics"]), LOOKED_AT))
    return list(dict.fromkeys(name for record in recent for name in record.metrics))
