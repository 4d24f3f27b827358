"""How a run stands, what to do next, and its results."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from launcher.backends import BACKENDS
from launcher.notify import notice as notify
from launcher.runs.folder import RunFolder
from launcher.runs.mlflow_sync import troubles
from launcher.runs.signs import Observer, Signs
from launcher.runs.state import Status
from launcher.runs.status import RunView
from launcher.view.signs import signs_text
from launcher.view.tables import NARROW, jobs_table, table, text
from locat.contract.comparison import Comparison


def jobs_report(view: RunView, signs: Mapping[str, Signs], out: Console) -> Group:
    """The jobs, and how those do that run; made for `out`."""
    parts = [jobs_table(view, {name: each.progress for name, each in signs.items()}, out)]
    if told := signs_text(signs, out):
        parts.append(Text(told if out.width >= NARROW else f"\n{told}", no_wrap=True))
    return Group(*parts)


def run_report(run: RunFolder, view: RunView, out: Console) -> Group:
    """The jobs, what to do if the run stands still, and its results once it has ended; made for `out`."""
    parts: list[RenderableType] = [jobs_report(view, Observer(run).look(view), out)]
    parts += [text(f"{job.name} goes on from {job.job.branched_from}") for job in view.jobs if job.job.branched_from]
    if advice := next_step(run, view):
        parts.append(text(advice, "bold"))
    for trouble, jobs in troubles(run).items():
        parts.append(text(f"MLflow takes nothing of {', '.join(jobs)}: {trouble}; then `{command('sync', run)}`"))
    parts += [text(trouble) for trouble in notify.troubles(run, view)]
    if view.ended:
        parts.extend(_results(run, view))
    return Group(*parts)


def next_step(run: RunFolder, view: RunView) -> str:
    """What the user should know or do now; empty if the run goes well."""
    if view.status == "stopped":
        return (
            f"{BACKENDS[view.plan.backend].idle} (jobs running: {len(view.running)}, waiting: {len(view.waiting)}): "
            f"`{command('retry', run)}` goes on from what is done"
        )
    bad = view.having([Status.FAILED, Status.INVALID])
    if view.ended and bad:
        return f"`{command('logs', run)} {bad[0].name}` shows why; `{command('retry', run)}` goes on from what is done"
    if view.status == "cancelled":
        return f"`{command('retry', run)}` goes on from what is done"
    return ""


def _results(run: RunFolder, view: RunView) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for job in view.having([Status.DONE]):
        if job.job.config.get("task") == "compare" and (found := Comparison.read(run.job(job.name).outputs)):
            parts.append(_comparison_table(job.name, found))
    figures = sorted(run.path.glob("jobs/*/outputs/figures/*.png"))
    if figures:
        listed = text("\n".join(["figures:", *(f"  {_short(figure)}" for figure in figures)]))
        listed.overflow = "fold"
        parts.append(listed)
    if view.having([Status.DONE]):
        parts.append(text(f"MLflow UI on this run: {command('ui', run)}"))
    return parts


def _comparison_table(title: str, comparison: Comparison) -> Table:
    rows = table(f"{title} (percent)")
    for column in comparison.columns:
        rows.add_column(text(column), justify="left" if column == "model" else "right")
    for row in comparison.rows:
        rows.add_row(*(_number(row.get(column)) for column in comparison.columns))
    return rows


def _number(value: Any) -> Text:
    if value is None:
        return text("")
    return text(f"{value:.1f}" if isinstance(value, float) else value)


def command(verb: str, run: RunFolder) -> str:
    """The command line that asks `verb` about a run from here."""
    runs = Path(os.environ.get("LAUNCHER_RUNS", "runs")).expanduser()
    elsewhere = "" if runs.resolve() == run.path.parent else f" --runs-dir {_short(run.path.parent)}"
    return f"{_program()} {verb}{elsewhere} {run.name}"


def _program() -> str:
    """`launcher` where the shell finds it, else the one beside this interpreter."""
    script = Path(sys.executable).with_name("launcher")
    return "launcher" if shutil.which("launcher") or not script.exists() else _short(script)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
