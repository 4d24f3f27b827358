"""What runs occupy: a sentence on all of them, a row per job that runs, and one per run for the jobs that wait."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from rich.console import Group
from rich.text import Text

from launcher import machine
from launcher.plan import DEFAULT_BACKEND
from launcher.runs.load import JobLoad, RunLoad
from launcher.runs.progress import clock
from launcher.view import columns
from launcher.view.tables import duration
from locat.contract.names import one_line

WORDS = {
    **{"cores": "cores {}", "GPUs": "GPUs {}", "memory": "memory {}", "GPU memory": "GPU memory {}"},
    **{"done": "{} done", "rate": "{}", "left": "{} left", "duration": "for {}"},
}
"""Columns after run and job, as far as anything stands in them; and what says the same in words."""
LONGEST_UNIT = 12
"""Characters of what a job counts."""
GIB = 1 << 30


def top_report(loads: Sequence[RunLoad], width: int | None) -> Group:
    """All that `launcher top` shows: in columns if they fit on so many, else one part after the other."""
    rows: list[dict[str, Any]] = []
    for load in loads:
        rows += [{"run": load.run.name, **_cells(job)} for job in load.jobs]
        if waiting := _waiting(load.queued, load.pending):
            rows.append({"run": load.run.name, "job": f"({waiting})"})
    summary = Text(_summary(loads), style="bold")
    if not rows:
        return Group(summary)
    heads = [head for head in WORDS if any(head in row for row in rows)]
    table = columns.text(["run", "job", *heads], rows, set(), 2, None)
    return Group(summary, Text("\n" + (table if columns.fits(table, width) else _in_parts(rows, width)), no_wrap=True))


def _in_parts(rows: Sequence[dict[str, Any]], width: int | None) -> str:
    told = ""
    for run, jobs in groupby(rows, key=lambda row: row["run"]):
        told += columns.wrapped(run, (), width)
        for row in jobs:
            told += columns.wrapped(
                row["job"], (word.format(row[head]) for head, word in WORDS.items() if head in row), width
            )
    return told


def total(loads: Sequence[RunLoad]) -> dict[str, int]:
    """What the jobs that run hold together; memory as far as it is known."""
    jobs = [job for load in loads for job in load.jobs]
    return {
        "jobs": len(jobs),
        "cores": sum(job.cores for job in jobs),
        "gpus": sum(job.gpus for job in jobs),
        "memory": sum(job.memory or 0 for job in jobs),
    }


def _summary(loads: Sequence[RunLoad]) -> str:
    held = total(loads)
    here = all(load.view.plan.backend == DEFAULT_BACKEND for load in loads) and not any(
        job.view.state.is_elsewhere for load in loads for job in load.jobs
    )
    waiting = _waiting(sum(load.queued for load in loads), sum(load.pending for load in loads))
    jobs = ", ".join(filter(None, (f"{_counted(held['jobs'], 'job')} running", waiting)))
    parts = [f"{held['cores']} of {machine.cores()} cores" if here else f"{held['cores']} cores"]
    if held["gpus"] or (here and machine.gpus()):
        parts.append(f"{held['gpus']} of {len(machine.gpus())} GPUs" if here else f"{held['gpus']} GPUs")
    if held["memory"]:
        parts.append(f"{_size(held['memory'])} of memory")
    return f"{_counted(len(loads), 'run')}: {jobs}; held: {', '.join(parts)}"


def _waiting(queued: int, pending: int) -> str:
    return ", ".join(f"{count} {word}" for count, word in ((queued, "queued"), (pending, "pending")) if count)


def _cells(job: JobLoad) -> dict[str, Any]:
    cells: dict[str, Any] = {"job": job.view.name, "cores": job.cores}
    if job.gpus:
        cells["GPUs"] = job.gpus
    if job.memory is not None:
        cells["memory"] = _size(job.memory)
    if now := job.progress:
        cells["done"] = f"{now.done / now.total:.0%}" if now.total > 0 else str(now.done)
        cells |= {"GPU memory": _size(now.gpu_memory)} if now.gpu_memory else {}
        cells |= {"rate": f"{now.rate:.3g} {one_line(now.unit, LONGEST_UNIT)}/s"} if now.rate > 0 else {}
        cells |= {"left": clock(now.eta)} if now.eta is not None else {}
    if age := duration(job.view):
        cells["duration"] = age
    return cells


def _size(memory: float) -> str:
    return f"{memory / GIB:.1f} GiB"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
