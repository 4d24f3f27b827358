"""Weights that a model begins with: how a pipeline names them. Nothing is read here."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from locat.config.base import Schema

REGISTERED = "timm"
HUB, RUN = "hf-hub:", "run:"
"""What the sources begin with that are no path."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar")
"""What files of weights end with."""
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?", re.ASCII)
_JOB = re.compile(r"(?P<run>.+)/(?P<job>[\w.-]+)(@(?P<at>best|[0-9]{1,12}))?", re.ASCII)


class JobWeights(NamedTuple):
    """What `run:RUN/JOB@AT` names."""

    run: str
    """A run's id, or the path of its folder."""
    job: str
    at: str
    """`best`, a step, or empty for what the job left at its end."""

    @property
    def folder(self) -> Path:
        """The job's."""
        return Path(self.run) / "jobs" / self.job

    def __str__(self) -> str:
        return f"{RUN}{self.run}/{self.job}{'@' if self.at else ''}{self.at}"


def repository(source: str) -> str | None:
    """OWNER/NAME, perhaps with @REVISION, of a source on the Hub; None for any other."""
    return source.removeprefix(HUB) if source.startswith(HUB) else None


def job_weights(source: str) -> JobWeights | None:
    """The run and the job that a source names; None for any other."""
    found = _JOB.fullmatch(source.removeprefix(RUN)) if source.startswith(RUN) else None
    return JobWeights(found["run"], found["job"], found["at"] or "") if found else None


def local_path(source: str) -> Path | None:
    """The file or folder that a source is; None for any other."""
    return None if source == REGISTERED or source.startswith((HUB, RUN)) else Path(source)


def checked(source: str) -> str:
    """`source`, if it has the form of one.

    Raises:
        ValueError: it has not; says what to write.
    """
    if source.startswith(HUB) and not _REPOSITORY.fullmatch(source.removeprefix(HUB)):
        raise ValueError(f"{source!r}: write {HUB}OWNER/NAME, or {HUB}OWNER/NAME@REVISION")
    if source.startswith(RUN) and job_weights(source) is None:
        raise ValueError(f"{source!r}: write {RUN}RUN/JOB, {RUN}RUN/JOB@best or {RUN}RUN/JOB@STEP")
    if not source.strip() or "\0" in source:
        raise ValueError("names no weights; write a folder, a file, timm, hf-hub:OWNER/NAME or run:RUN/JOB")
    if "://" in source:
        raise ValueError(f"{source!r} is a URL; download the file and write its path, or write {HUB}OWNER/NAME")
    if source.startswith("local-dir:"):
        raise ValueError(f"{source!r}: write the folder alone, {source.removeprefix('local-dir:')}")
    return source


def whole_model(source: Any) -> Path | str:
    """What names a whole model: a folder, or hf-hub:OWNER/NAME, which stays text.

    Raises:
        ValueError: it has not the form of one; says what to write.
    """
    if isinstance(source, Path):
        return source
    if not isinstance(source, str):
        raise ValueError(f"expected a folder or {HUB}OWNER/NAME")
    if (job := job_weights(checked(source))) is not None:
        raise ValueError(f"{source}: write the job's folder, such as {Path('runs', job.folder) / 'outputs'}")
    return source if repository(source) else Path(source)


WholeModel = Annotated[Path | str, BeforeValidator(whole_model), WithJsonSchema({"type": "string"})]


class Init(Schema):
    """Weights to begin with (docs/finetune.md). In YAML the source alone, or `{source: ..., weights: student}`."""

    source: Annotated[str, AfterValidator(checked)]
    """A folder such as `${jobs.NAME.outputs.model}`, a .safetensors or .pth file, `hf-hub:OWNER/NAME`, `timm` (those
    registered for the model's name), or `run:RUN/JOB`, which may end with `@best` or `@STEP`."""
    weights: Literal["ema", "teacher", "student", "model"] | None = None
    """Which, where the source holds several: the average that followed training (`ema`, `teacher`) or what was trained
    (`student`, `model`); by default the average where there is one."""


def _from_source(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


InitField = Annotated[Init, BeforeValidator(_from_source)]
