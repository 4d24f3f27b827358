"""The job that runs a program of the user's own; docs/extend/command.md is its contract."""

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator

from locat.config.base import JobConfig, PositiveFloat
from locat.config.cost import Costs
from locat.contract.credentials import has_password

RESULTS = {"metrics": "metrics.json"}
"""The output of a program with `metrics`: its numbers as other tasks leave theirs."""


def _word(value: str) -> str:
    if "\0" in value:
        raise ValueError("a word of a command line cannot hold the character NUL; remove it")
    if has_password(value):
        raise ValueError(
            "a URL with a password, which a pipeline must not hold; list a variable under `secrets`, which the program"
            " reads"
        )
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", value):
        raise ValueError("expected a name of letters, digits, '-' and '_', from a letter on, at most 63 characters")
    return value


def _below_outputs(value: str) -> str:
    path = PurePosixPath(value)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"expected a path below the job's outputs folder, without '..', got {value!r}")
    if "$" in value or not value.isprintable():
        raise ValueError(f"expected a path of printable characters without '$', got {value!r}")
    return str(path)


Word = Annotated[str, AfterValidator(_word)]
OutputPath = Annotated[str, AfterValidator(_below_outputs)]
OutputName = Annotated[str, AfterValidator(_name)]


class CommandConfig(JobConfig):
    """Run a program of your own: any script takes part in a chain (docs/extend/command.md)."""

    model_config = ConfigDict(serialize_by_alias=True)

    entry: ClassVar[str] = "locat.tasks.command.task:command"
    references: ClassVar[dict[str, Literal["text", "none"]]] = {
        "argv": "text",
        **dict.fromkeys(("outputs", "metrics", "distributed"), "none"),
    }

    task: Literal["command"]
    argv: Annotated[list[Word], Field(min_length=1)]
    """The program and its arguments; no shell reads them. `python` as the first word is the interpreter that LocAt runs
    in. A reference becomes text, to several jobs a word for each; `${jobs.NAME.outputs.KEY}` of the job itself is where
    the program is to write that output."""
    own_outputs: dict[OutputName, OutputPath] = Field(default={}, alias="outputs")
    """What `${jobs.NAME.outputs.KEY}` of later jobs refers to: name -> path below the job's outputs folder. What is
    not there when the program ends with exit code 0 fails the job."""
    metrics: OutputPath | None = None
    """JSON file below the outputs folder with the program's numbers, `{"accuracy": 0.9}`: they go to MLflow, and to
    `compare` as the output `metrics`."""
    runs_on_ranks: bool = Field(default=False, alias="distributed", strict=True)
    """Whether the program is started once a rank, as torchrun does, or as one process."""
    cwd: Path = Path()
    """Folder that the program runs in; by default that of the pipeline's file. For Kubernetes an absolute path in the
    image."""
    silence_timeout: PositiveFloat | None = None
    """Seconds in which it must print something or renew progress.json, or else it hangs and is ended; by default it may
    be silent."""

    @classmethod
    def reading(cls, values: Mapping[str, Any]) -> type["CommandConfig"]:
        """The class whose outputs and ranks are those that `values` name."""
        outputs, metrics = values.get("outputs"), values.get("metrics")
        own = (
            {name: path for name, path in outputs.items() if isinstance(path, str)} if isinstance(outputs, dict) else {}
        )
        named = {**own, **(RESULTS if metrics is not None else {})}
        return _with(tuple(named.items()), values.get("distributed") is True)

    def storage(self, costs: Costs) -> float:
        """Not known: it is the program's to say."""
        return math.nan

    @field_validator("argv")
    @classmethod
    def _names_a_program(cls, argv: list[str]) -> list[str]:
        if not argv[0]:
            raise ValueError("the first word names the program, and is empty")
        return argv

    @field_validator("metrics")
    @classmethod
    def _results_are_no_other_output(cls, metrics: str | None, told: ValidationInfo) -> str | None:
        outputs: dict[str, str] = told.data.get("own_outputs", {})
        if metrics is not None and (outputs.keys() & RESULTS.keys() or {*outputs.values()} & {*RESULTS.values()}):
            raise ValueError(
                "makes the output `metrics`, the file metrics.json; give the output of the same name another name and"
                " path, or leave it out"
            )
        return metrics


@cache
def _with(named: tuple[tuple[str, str], ...], on_ranks: bool) -> type[CommandConfig]:
    class Named(CommandConfig):
        outputs: ClassVar[dict[str, str]] = dict(named)
        distributed: ClassVar[bool] = on_ranks

    return Named
