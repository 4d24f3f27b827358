"""The plans that files and options make. Apart from arguments.py: verbs that compile nothing start twice as fast."""

from collections.abc import Iterable
from pathlib import Path

from launcher.backends.base import Places
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.language.model import Pipeline
from launcher.plan import Plan
from launcher.runs.create import new_run_id
from locat.contract.problems import PipelineError, Problem


def compiled(
    files: Iterable[Path],
    overrides: tuple[str, ...],
    places: Places,
    backend: str,
    name: str | None = None,
    run_id: str | None = None,
) -> list[tuple[Pipeline, Plan]]:
    """Each file's pipeline and its plan, under a new run id (that begins with `name`) unless one is given.

    Raises:
        PipelineError: one of them is not valid; lists the problems of all.
    """
    made: list[tuple[Pipeline, Plan]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            pipeline = load(file, overrides)
            chosen = run_id or new_run_id(name or pipeline.name)
            plan = compile_pipeline(pipeline, chosen, places.runs, places.tracking_uri, backend, places.sees_folders)
            made.append((pipeline, plan))
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(problems)
    return made
