"""The plans that pipelines and options make."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.backends.base import Places
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import read, validate
from launcher.language.model import Pipeline
from launcher.plan import Plan
from launcher.plugins import staged
from launcher.runs.create import new_run_id
from locat.contract.problems import PipelineError, Problem
from locat.contract.yaml_source import Source


def compiled(
    pipelines: Iterable[Path | Mapping[str, Any]],
    overrides: Sequence[str],
    places: Places,
    backend: str,
    name: str | None = None,
    run_id: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
    imports_plugins: bool = True,
) -> list[tuple[Pipeline, Plan]]:
    """Each pipeline, of a file or a mapping, and its plan, under a new run id (that begins with `name`) unless one is
    given.

    Args:
        tell: is given a line for each plugin.
        imports_plugins: without, names that plugins may bring are not checked.

    Raises:
        PipelineError: one of them is not valid; lists the problems of all.
    """
    made: list[tuple[Pipeline, Plan]] = []
    problems: list[Problem] = []
    sources: list[Source] = []
    for each in pipelines:
        try:
            sources.append(read(each, overrides))
        except PipelineError as error:
            problems += error.problems
    try:
        plugins = _plugins(sources, places.sees_folders, tell, imports_plugins)
    except PipelineError as error:
        raise PipelineError([*problems, *error.problems]) from None
    for source, named in zip(sources, plugins, strict=True):
        try:
            pipeline = validate(source)
            chosen = run_id or new_run_id(name or pipeline.name)
            plan = compile_pipeline(pipeline, chosen, places.runs, places.tracking_uri, backend, places.sees_folders)
            made.append((pipeline, replace(plan, plugins=named)))
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(problems)
    return made


def _plugins(
    sources: Sequence[Source], sees_folders: bool, tell: Callable[[str], None], imports: bool
) -> list[tuple[str, ...]]:
    """The plugins of each pipeline, by which names are found from then on. Most have none, and wait for none."""
    if not any(source.values.get("plugins") for source in sources):
        staged.forget()
        return [() for _ in sources]
    from launcher.plugins import use

    return use.of_pipelines(sources, sees_folders, tell) if imports else use.none(sources, tell)
