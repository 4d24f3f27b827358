"""A job that goes on from another run's checkpoint under a config of its own: which one, and what may have changed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from locat.config.base import Schema
from locat.config.sets import Sets, called
from locat.contract.problems import KeyPath, dotted, shown

if TYPE_CHECKING:
    from locat.config.training import TrainingConfig


class Branch(Schema):
    """The checkpoint that a job goes on from (docs/finetune.md)."""

    job: Path
    """Folder of the job that wrote it."""
    at: Annotated[str, Field(pattern="^(best|[0-9]{1,12})?$")] = ""
    """A step, `best`, or empty for the newest."""

    def __str__(self) -> str:
        """RUN/JOB@AT."""
        return f"{self.job.parents[1].name}/{self.job.name}{'@' if self.at else ''}{self.at}"


def differences(was: Any, now: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, Any]]:
    """Each value in which two configs differ, by its path; None for one that is not there."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*was, *now]):
            yield from differences(was.get(key), now.get(key), (*path, key))
    elif was != now:
        yield path, was, now


def refusals(
    recorded: dict[str, Any], config: "TrainingConfig", position: Mapping[str, int] | None = None
) -> Iterator[tuple[KeyPath, str]]:
    """Why a job of `config` cannot go on from a checkpoint of one that was `recorded` so: each key and a sentence.

    Args:
        position: step, epoch and batch of the checkpoint. None where neither it nor the data can be seen from here.
    """
    if recorded.get("task") != config.task:
        yield ("task",), f"{config.task!r} has no use for a checkpoint of {recorded.get('task')!r}; use `model.init`"
        return
    was = config.as_today(recorded)
    for path, before, now in differences(was, config.decisive()):
        key = next((key for key in config.lasting if f"{dotted(path)}.".startswith(f"{key}.")), None)
        if key is not None and not _goes_on(path, before, now, config):
            yield path, f"{shown(now)}, where the checkpoint has {shown(before)}: {config.lasting[key]}; leave it so"
    if position is not None:
        yield from _of_data(was, config)
        yield from _of_position(was, config, position)


def _goes_on(path: KeyPath, was: Any, now: Any, config: "TrainingConfig") -> bool:
    """Whether a change is fine of a key that other changes of are not."""
    match path:
        case ("ema_decay",) | ("optimizer", "momentum"):
            return bool(was) == bool(now)
        case ("backbone_lr",):
            return bool(was) == bool(now) and config.strategy.name != "deepspeed"
        case ("optimizer", "lr"):
            return config.strategy.name != "deepspeed" or not getattr(config, "backbone_lr", 0)
        case ("precision",):
            return "fp16" not in (was, now)
        case ("optimizer", "layer_decay"):
            return config.strategy.name != "deepspeed"
        case ("model", "init", *deeper):
            return bool(deeper) and not config.frozen_backbone  # it is not read
    return False


def _of_data(was: Mapping[str, Any], config: "TrainingConfig") -> Iterator[tuple[KeyPath, str]]:
    before_all = type(config.data).model_validate(was["data"])
    for split, now in config.data:
        before = getattr(before_all, split)
        digest = _digest(now)
        if now == before or digest is None:  # the same, or not converted yet: looked at again when the job begins
            continue
        if (other := _digest(before)) is None:
            yield (
                ("data", split),
                f"{called(now)} cannot be compared with {called(before)}, which is gone; restore its .json",
            )
        elif other != digest:
            yield (
                ("data", split),
                f"{called(now)} holds other data than {called(before)}, so the position in them makes no sense; "
                "use `model.init`",
            )


def _of_position(
    was: Mapping[str, Any], config: "TrainingConfig", position: Mapping[str, int]
) -> Iterator[tuple[KeyPath, str]]:
    step = position["step"]
    for key, done in {"epochs": position["epoch"], "iterations": step}.items():
        length = getattr(config, key, None)
        if length is not None and length <= done:
            yield (key,), f"{length}, of which the checkpoint of step {step} has done {done}; give more"
    images = position["batch"] * was["batch_size"]
    if images % config.batch_size:
        yield (
            ("batch_size",),
            f"{config.batch_size} does not divide the {images} images that step {step} is into its epoch; "
            "give a divisor, or take a checkpoint from the end of an epoch",
        )


def _digest(sets: Sets) -> list[tuple[str, float]] | None:
    """By the manifests beside datasets, each with its weight; None where one has none."""
    try:
        return [(str(json.loads(Path(f"{one.path}.json").read_text())["sha256"]), one.weight) for one in sets]
    except (OSError, ValueError, LookupError, TypeError):
        return None
