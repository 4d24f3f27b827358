"""A pipeline file -> a valid `Pipeline`."""

import graphlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from launcher.backends import OPTIONS
from launcher.language import includes
from launcher.language import overrides as command_line
from launcher.language.explain import explain
from launcher.language.model import Defaults, Job, Pipeline, language
from locat.contract.credentials import SECRET_NAME, has_password
from locat.contract.problems import KeyPath, PipelineError, known_words
from locat.contract.yaml_source import Source


def load(pipeline: Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Pipeline:
    """The pipeline in a file, or of values as a file would have them, with each `KEY=VALUE` of `--set` put over it.

    Raises:
        PipelineError: the file cannot be read, or what it says is not a valid pipeline.
    """
    return validate(read(pipeline, overrides))


def read(pipeline: Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Source:
    """The same before it is validated: what the file says, and those it includes, and `--set`.

    Raises:
        PipelineError: one of them cannot be read.
    """
    source = includes.read(pipeline) if isinstance(pipeline, Path) else includes.of_values(pipeline)
    return command_line.apply(source, overrides)


def validate(source: Source) -> Pipeline:
    """The pipeline that `source` describes.

    Raises:
        PipelineError: it is not valid; lists every problem.
        PluginError: it names the options of a backend of another package, which cannot be loaded.
    """
    model = language(tuple(sorted(_other_backends(source.values))))
    try:
        pipeline = model.model_validate(source.values)
    except ValidationError as error:
        raise PipelineError(source.problem(path, text) for path, text in explain(error, model)) from None
    pipeline._source = source
    problems = [source.problem(*found) for check in (_unknown_needs, _secrets, _tokens) for found in check(pipeline)]
    if problems:
        raise PipelineError(problems)
    try:
        pipeline.in_order()
    except graphlib.CycleError as error:
        # graphlib lists each job before one that needs it.
        cycle: list[str] = error.args[1][::-1]
        path = ("jobs", cycle[0], "needs", pipeline.jobs[cycle[0]].needs.index(cycle[1]))
        message = f"a cycle: {' -> '.join(cycle)}; remove one of these needs"
        raise PipelineError([source.problem(path, message)]) from None
    return pipeline


def _other_backends(values: Mapping[str, Any]) -> set[str]:
    """Backends of other packages whose options a file names: who names none does not wait for them to be found."""
    jobs = values.get("jobs")
    owners = [values.get("defaults"), *(jobs.values() if isinstance(jobs, dict) else ())]
    named = [owner.get("options") for owner in owners if isinstance(owner, dict)]
    keys = {key for options in named if isinstance(options, dict) for key in options}
    return {key for key in keys if isinstance(key, str) and key not in OPTIONS.own and key in OPTIONS}


def _owners(pipeline: Pipeline) -> Iterator[tuple[KeyPath, Defaults | Job]]:
    """What may have variables and storage, each with its place."""
    yield ("defaults",), pipeline.defaults
    for name, job in pipeline.jobs.items():
        yield ("jobs", name), job


def _unknown_needs(pipeline: Pipeline) -> Iterator[tuple[KeyPath, str]]:
    for name, job in pipeline.jobs.items():
        for position, need in enumerate(job.needs):
            if need not in pipeline.jobs:
                yield ("jobs", name, "needs", position), f"no job {need!r}{known_words(need, pipeline.jobs)}"


def _secrets(pipeline: Pipeline) -> Iterator[tuple[KeyPath, str]]:
    """A pipeline is committed and copied into run folders: no place for secrets. Their values are not shown."""
    for path, owner in _owners(pipeline):
        for name, value in owner.env.items():
            if SECRET_NAME.search(name.upper()) or has_password(value):
                remedy = f"list {name} under `secrets` and export it in the shell that submits"
                yield (*path, "env", name), f"looks like a secret, which a pipeline must not hold; {remedy}"


_TOKENS = ("serviceAccountToken", "podCertificate")
"""Sources of a projected volume by which a pod of Kubernetes is given an identity in the cluster."""


def _tokens(pipeline: Pipeline) -> Iterator[tuple[KeyPath, str]]:
    """A job's pods get no token of the cluster (docs/security.md), by no way round."""
    for path, owner in _owners(pipeline):
        for mount, storage in owner.storage.items():
            for place in _places((*path, "storage", mount, "volume"), storage.volume, _TOKENS):
                yield place, "would give jobs a token of the cluster, and they get none; leave it out"


def _places(path: KeyPath, value: Any, keys: Collection[str]) -> Iterator[KeyPath]:
    """Where one of these keys stands, at whatever depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in keys:
                yield (*path, key)
            yield from _places((*path, key), inner, keys)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _places((*path, position), inner, keys)
