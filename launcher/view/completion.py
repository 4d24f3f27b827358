"""What a shell offers at the tab key: names of runs, of a run's jobs, and of backends."""

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from launcher.backends import BACKENDS
from launcher.runs.find import find, list_runs
from locat.contract.errors import UserError


class BackendName(click.ParamType):  # type: ignore[type-arg]  # has none in older versions of click
    """As a choice of all backends; those of other packages are looked for only when they are needed."""

    name = "backend"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value if value in BACKENDS else _backends().convert(value, param, ctx))

    def get_metavar(self, *asked: Any, **named: Any) -> str | None:
        return _backends().get_metavar(*asked, **named)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _backends().shell_complete(ctx, param, incomplete)


def _backends() -> "click.Choice[str]":
    return click.Choice(list(BACKENDS))


def complete_run(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Runs, newest first, whose name begins as what was typed."""
    return [run.name for run in list_runs(_runs(context)) if run.name.startswith(incomplete)]


def complete_job(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Jobs of the run that was named before."""
    try:
        plan = find(_runs(context), context.params.get("reference")).plan()
    except UserError:
        return []
    return [job.name for job in plan.jobs if job.name.startswith(incomplete)]


def _runs(context: click.Context) -> Path:
    return Path(context.params.get("runs") or "runs")
