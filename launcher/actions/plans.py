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
    plugins = _importer(tell, places.sees_folders) if imports_plugins else _without(sources, tell)
    for source in sources:
        try:
            named, parcel = plugins(source)
            pipeline = validate(source)
            chosen = run_id or new_run_id(name or pipeline.name)
            plan = compile_pipeline(pipeline, chosen, places.runs, places.tracking_uri, backend, places.sees_folders)
            made.append((pipeline, replace(plan, plugins=named, parcel=parcel)))
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(problems)
    return made


def present(plan: Plan) -> None:
    """Take the plugins of a plan, and no others, as installed in this process: another pipeline's may be there.

    Raises:
        SnapshotError: one is gone meanwhile, or cannot be imported.
    """
    if staged.origins() != plan.plugins:
        from launcher.plugins import use

        use.of_run(plan.run_id, plan.plugins)


Plugins = tuple[tuple[str, ...], tuple[str, ...]]
"""`plugins` and `parcel` of a plan."""


def _importer(tell: Callable[[str], None], sees_folders: bool) -> Callable[[Source], Plugins]:
    """Imports the plugins of a pipeline, by which its names are found from then on. Most have none, and wait for none.

    A plugin is told of once, whoever names it.
    """
    told: set[str] = set()

    def once(line: str) -> None:
        if line not in told:
            told.add(line)
            tell(line)

    def plugins(source: Source) -> Plugins:
        if not source.values.get("plugins"):
            staged.forget()
            return (), ()
        from launcher.plugins import use

        named = use.of_pipeline(source, once)
        return named, () if sees_folders else use.parcel(source)

    return plugins


def _without(sources: Sequence[Source], tell: Callable[[str], None]) -> Callable[[Source], Plugins]:
    """The same where nothing is to be imported."""
    from launcher.plugins import use

    use.none(sources, tell)
    return lambda source: ((), ())
