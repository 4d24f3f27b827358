"""`launcher diff`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from launcher.comparing.differences import Difference, Differences, Side, differences
from launcher.comparing.query import as_text
from launcher.verbs.arguments import runs_option
from launcher.view.completion import complete_run
from locat.contract.metric_record import in_json
from locat.contract.names import one_line

SHOWN = 3
"""Names of jobs in a line; the rest are counted."""


@click.command("diff")
@click.argument("a", metavar="A", shell_complete=complete_run)
@click.argument("b", metavar="B", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@runs_option
def command(a: str, b: str, as_json: bool, runs: Path) -> None:
    """Show the differences between A and B: two runs, or two jobs as RUN/JOB.

    Compares code, config, environment, checksums of data, and container images, and finds the first step at which the
    recorded losses part. For two runs, compares jobs of the same name. Reads only the folders of runs.
    """
    one, other = Side.find(runs, a), Side.find(runs, b)
    found = differences(one, other)
    if as_json:
        click.echo(json.dumps(_as_json(one, other, found), indent=2))
    else:
        click.echo("\n".join(_lines(one, other, found)))


def _lines(a: Side, b: Side, found: Differences) -> Iterator[str]:
    yield f"A  {one_line(a.name, 200)}"
    yield f"B  {one_line(b.name, 200)}"
    for name, jobs in (("A", found.only_a), ("B", found.only_b)):
        if jobs:
            yield f"only {name} has {_few(jobs)}"
    for section, differing in found.sections.items():
        said = _unrecorded(found.has_code) if section == "code" else ""
        yield f"{section}: {said}".rstrip() if differing or said else f"{section}: the same"
        yield from (f"  {_change(each, len(found.losses))}" for each in differing)
    if not found.losses:
        yield "losses: the runs have no job in common"
        return
    yield "losses:"
    for job, each in found.losses.items():
        if each.metric:
            before = f", after {each.equal} equal numbers" if each.equal else ""
            whose = "" if a.job else f"{one_line(job)}: "
            yield f"  {whose}part at step {each.step}: {one_line(each.metric)} {each.a} -> {each.b}{before}"
    same = {job: each for job, each in found.losses.items() if each.equal and not each.metric}
    if same:
        count = sum(each.equal for each in same.values())
        yield f"  the same wherever both recorded one ({count} numbers){'' if a.job else f': {_few([*same])}'}"
    if not same and not any(each.metric for each in found.losses.values()):
        yield "  none was recorded by both at the same step"


def _change(difference: Difference, pairs: int) -> str:
    change = f"{one_line(difference.key)}: {_value(difference.a)} -> {_value(difference.b)}"
    if not difference.jobs or len(difference.jobs) == pairs:
        return change
    return f"{change} ({_few(difference.jobs)})"


def _value(value: Any) -> str:
    return "none" if value is None else one_line(as_text(value), 200)


def _few(names: list[str]) -> str:
    shown = ", ".join(map(one_line, names[:SHOWN]))
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _unrecorded(has_code: tuple[bool, bool]) -> str:
    """Of which run it is not recorded which code its jobs ran."""
    if not any(has_code):
        return "nothing is recorded of it"
    missing = [name for name, has in zip("AB", has_code, strict=True) if not has]
    return f"nothing is recorded of {missing[0]}'s" if missing else ""


def _as_json(a: Side, b: Side, found: Differences) -> dict[str, Any]:
    sections = {
        name: None if name == "code" and not any(found.has_code) else [asdict(each) for each in differing]
        for name, differing in found.sections.items()
    }
    losses = [{"job": job, **asdict(each)} for job, each in found.losses.items()]
    for each in losses:
        each |= {key: in_json(each[key]) for key in ("a", "b") if each[key] is not None}
    return {
        "a": {"run": a.run.name, "job": a.job or None, "folder": str(a.run.path)},
        "b": {"run": b.run.name, "job": b.job or None, "folder": str(b.run.path)},
        "only_a": found.only_a,
        "only_b": found.only_b,
        **sections,
        "losses": losses,
    }
