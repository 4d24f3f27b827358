"""Pipelines become runs, which their backends then start."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.actions.branches import with_starts
from launcher.actions.plans import compiled, present
from launcher.backends import BACKENDS
from launcher.compile import initial_weights, secrets
from launcher.language.model import Pipeline
from launcher.notify import urls
from launcher.plan import Plan
from launcher.runs.create import Start, create, discard
from launcher.runs.folder import RunFolder
from locat.contract.errors import UserError

if TYPE_CHECKING:
    from launcher.snapshot.take import Code


class Prepared(NamedTuple):
    """A run that can be submitted."""

    pipeline: Pipeline
    plan: Plan
    start: Start | None
    """The checkpoint that a job goes on from, of another run."""


def prepare(
    pipelines: Iterable[Path | Mapping[str, Any]],
    settings: Sequence[str],
    backend: str,
    runs: Path,
    name: str | None = None,
    origin: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Prepared]:
    """What each pipeline, a file or its values, becomes on a backend; nothing is created.

    Args:
        settings: `KEY=VALUE`, put over each.
        runs: folder of runs.
        name: first part of the runs' names; the pipeline's own if None.
        origin: RUN/JOB of a checkpoint that a job of each goes on from.
        tell: is given a line for each plugin.

    Raises:
        PipelineError: one of them is not valid; lists the problems of all.
        UserError: there is no such checkpoint, or no such backend.
    """
    places = BACKENDS[backend].places(runs)
    made = compiled(pipelines, settings, places, backend, name, tell=tell)
    return [Prepared(*each) for each in with_starts(made, origin, runs, places)]


def submit(
    prepared: Sequence[Prepared], settings: Sequence[str], backend: str, runs: Path
) -> Iterator[tuple[RunFolder, Prepared]]:
    """Create and start the runs; yields each as soon as its backend has it. None is created unless all can run.

    Raises:
        UserError: one can never run there, or a secret is missing or written out.
    """
    for pipeline, plan, _ in prepared:
        secrets.check(plan, BACKENDS[backend].takes_environment, [pipeline.source.data.decode(), *settings])
        if BACKENDS[backend].takes_environment:
            urls.check(plan)
        BACKENDS[backend].check(plan)
    codes = _codes(prepared, runs.resolve()) if BACKENDS[backend].places(runs).sees_folders else {}
    for each in prepared:
        source, code = each.pipeline.source, codes.get(each.plan.plugins)
        run = create(each.plan, source.data.decode(), runs.resolve(), source, settings, each.start, code)
        if code is not None:
            _check_weights(run, each.plan)
        BACKENDS[backend].start(run)
        yield run, each


def _codes(prepared: Sequence[Prepared], runs: Path) -> dict[tuple[str, ...], "Code"]:
    """Plugins of a plan -> the code that its jobs run."""
    from launcher.snapshot.take import take  # a tenth of the time of `--dry-run`

    codes: dict[tuple[str, ...], Code] = {}
    for _, plan, _ in prepared:
        if plan.plugins not in codes:
            present(plan)
            codes[plan.plugins] = take(runs, {name for each in prepared for name in each.plan.secrets}, "submit")
    return codes


def _check_weights(run: RunFolder, plan: Plan) -> None:
    """Look once more for what jobs begin with: from here on `launcher clean` knows of this run, and leaves it.

    Raises:
        UserError: one was deleted since the run was compiled; there is no run then.
    """
    for job in plan.jobs:
        model = job.config.get("model")
        init = model.get("init") if isinstance(model, dict) else None
        if isinstance(init, dict):
            try:
                initial_weights.check(str(init.get("source")), plan.folder)
            except (ValueError, OSError) as error:
                discard(run)
                raise UserError(f"job {job.name}: model.init: {error}") from error
