"""The plans that pipelines and options make."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launcher.backends.base import Places
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.language.model import Pipeline
from launcher.plan import Plan
from launcher.runs.create import new_run_id
from locat.contract.problems import PipelineError, Problem


def compiled(
    pipelines: Iterable[Path | Mapping[str, Any]],
    overrides: Sequence[str],
    places: Places,
    backend: str,
    name: str | None = None,
    run_id: str | None = None,
) -> list[tuple[Pipeline, Plan]]:
    """Each pipeline, of a file or a mapping, and its plan, under a new run id (that begins with `name`) unless one is
    given.

    Raises:
        PipelineError: one of them is not valid; lists the problems of all.
    """
    made: list[tuple[Pipeline, Plan]] = []
    problems: list[Problem] = []
    for each in pipelines:
        try:
            pipeline = load(each, overrides)
            chosen = run_id or new_run_id(name or pipeline.name)
            plan = compile_pipeline(pipeline, chosen, places.runs, places.tracking_uri, backend, places.sees_folders)
            made.append((pipeline, plan))
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(problems)
    return made
