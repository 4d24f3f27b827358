"""The plugins of a pipeline, as installed before names are looked up; what is wrong with one is told at its key."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from launcher.plugins import stage, staged, unchecked
from launcher.plugins.named import BadPluginError, Plugin, read
from launcher.plugins.parcel import packed
from launcher.plugins.stage import BadStageError
from launcher.snapshot.errors import SnapshotError
from locat.contract.problems import PipelineError, Problem
from locat.contract.yaml_source import Source


def of_pipeline(source: Source, tell: Callable[[str], None]) -> tuple[str, ...]:
    """Import what a pipeline names as plugins, and nothing else; the same as a plan has them.

    Args:
        tell: is given a line for each plugin.

    Raises:
        PipelineError: lists what is wrong.
    """
    found: dict[str, tuple[Plugin, tuple[str, int]]] = {}
    problems: list[Problem] = []
    staged.forget()
    for place, written in _written(source):
        at = ("plugins", place)
        try:
            plugin = read(written, source.folder_of(at))
            found.setdefault(plugin.origin, (plugin, at))
        except BadPluginError as error:
            problems.append(source.problem(at, str(error)))
    if problems:
        raise PipelineError(problems)
    try:
        for brought in stage.present([plugin for plugin, _ in found.values()]):
            tell(str(brought))
    except BadStageError as error:
        plugin, at = [*found.values()][error.position]
        raise PipelineError([source.problem(at, f"{plugin.origin}: {error}")]) from None
    return tuple(found)


def parcel(source: Source) -> tuple[str, ...]:
    """The plugins of this pipeline, which are there now, as they travel within its plan.

    Raises:
        PipelineError: they are too large, or cannot be read.
    """
    try:
        return packed(staged.places(), staged.notes())
    except BadPluginError as error:
        raise PipelineError([source.problem(("plugins",), str(error))]) from None


def none(sources: Sequence[Source], tell: Callable[[str], None]) -> None:
    """Import nothing: names that plugins may bring are then not checked."""
    staged.forget()
    for source in sources:
        for place, written in _written(source):
            tell(f"{written} (plugins.{place}) is not imported, and what it may bring is not checked")
    staged.expect_names()
    unchecked.lend([source for source in sources if any(_written(source))])


def installed(words: Sequence[str]) -> bool:
    """Whether `--installed [PLUGIN...]` is on a command line; plugins, by paths from here, then count as installed."""
    if not words:
        return False
    if words[0] != "--installed":
        sys.exit(f"unknown option {words[0]!r}; there is --installed [PLUGIN...]")
    try:
        stage.present([read(word, Path.cwd()) for word in words[1:]])
    except BadPluginError as error:
        sys.exit(str(error))
    except BadStageError as error:
        sys.exit(f"{words[1 + error.position]}: {error}")
    return True


def of_run(name: str, plugins: Sequence[str]) -> None:
    """Import the plugins of a run as they are now.

    Raises:
        SnapshotError: one is gone, or cannot be imported.
    """
    staged.forget()
    try:
        stage.present([read(origin, None) for origin in plugins])
    except BadPluginError as error:
        raise SnapshotError(f"{name}: plugins: {error}") from error
    except BadStageError as error:
        raise SnapshotError(f"{name}: plugins.{error.position}: {plugins[error.position]}: {error}") from error


def _written(source: Source) -> list[tuple[int, str]]:
    """Entries of `plugins:`; what is none is for the pipeline's schema to tell."""
    entries = source.values.get("plugins")
    if not isinstance(entries, list):
        return []
    return [(place, entry) for place, entry in enumerate(entries) if isinstance(entry, str) and entry]
