"""What a job has left that a Hub can be given: files of known names and forms, and nothing else of the run's folder."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from launcher.backends import look
from launcher.plan import Plan, PlannedJob
from launcher.runs.find import find, find_job
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from locat.config.attach import ATTACHED
from locat.contract import records
from locat.contract.errors import UserError
from locat.contract.plugins import MODELS

CONFIG, WEIGHTS, HEAD, DESCRIPTION = "config.json", "model.safetensors", "head.safetensors", "segmentation.json"
LOCAT = "locat"
"""What timm's names of models with LocAt begin with."""
LONGEST = 1 << 26
"""Bytes of a JSON text that is read: thousands of classes fit."""


@dataclass(frozen=True)
class SharedModel:
    """The model of a job that is done."""

    run: RunFolder
    plan: Plan
    job: PlannedJob
    files: dict[str, Path]
    """Name in the repository -> file."""
    config: dict[str, Any]
    """timm's config.json."""
    described: dict[str, Any]
    """segmentation.json; empty where the job left no segmentation model."""
    results: dict[str, Any]
    """metrics.json; empty where the job left none."""

    @property
    def architecture(self) -> str:
        """timm's name of the model, or of the plain one that LocAt is attached to."""
        name = str(self.config["architecture"])
        return str(self._arguments.get("base", name)) if name == ATTACHED else name

    @property
    def needs_locat(self) -> bool:
        """Whether timm knows the model only once LocAt is imported."""
        return str(self.config["architecture"]).startswith(LOCAT)

    @property
    def brought_as(self) -> str:
        """What a plugin of the run offers the model as, `module:object`; empty where none does."""
        from importlib.metadata import distributions  # few runs have plugins

        folder = self.run.code_folder() if self.plan.plugins else None
        if folder is None:
            return ""
        name = self.architecture.partition(".")[0]
        offers = (offer for each in distributions(path=[str(folder)]) for offer in each.entry_points)
        return next((offer.value for offer in offers if (offer.group, offer.name) == (MODELS, name)), "")

    @property
    def parts_of_locat(self) -> tuple[str, ...]:
        """Those of GAug and PRR that the model has."""
        if not self.needs_locat:
            return ()
        named = {"GAug": self._arguments.get("gaug", True), "PRR": self._arguments.get("prr", True)}
        return tuple(name for name, there in named.items() if there)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, by number; empty where they are not known."""
        names = self.described.get("classes") or self.config.get("label_names")
        found = list(names.values()) if isinstance(names, dict) else names
        return tuple(map(str, found)) if isinstance(found, list) else ()

    @property
    def _arguments(self) -> dict[str, Any]:
        """Empty where a program of a user's own has written something else."""
        found = self.config.get("model_args")
        return found if isinstance(found, dict) else {}


def shared(runs: Path, reference: str) -> SharedModel:
    """The model of RUN/JOB.

    Raises:
        UserError: there is no such job, it is not done, or it left no whole model.
    """
    name, slash, job_name = reference.partition("/")
    if not (name and slash and job_name):
        raise UserError(f"{reference!r}: write RUN/JOB, a run and the job whose model is to be shared")
    run = find(runs, name)
    plan = run.plan()
    job = plan.job(find_job(plan, job_name))
    view = next(each for each in look(run, plan).jobs if each.name == job.name)
    if view.status is not Status.DONE:
        raise UserError(f"{run.name}/{job.name} is {view.status}: a model is shared once its job is done")
    outputs = run.job(job.name).outputs
    names = [CONFIG, WEIGHTS]
    if missing := [each for each in names if not os.path.lexists(outputs / each)]:
        raise UserError(f"{run.name}/{job.name} has left no {' and no '.join(missing)}{_others(run, plan)}")
    names += [each for each in (HEAD, DESCRIPTION) if os.path.lexists(outputs / each)]
    files = {each: outputs / each for each in names}
    if (HEAD in files) != (DESCRIPTION in files):
        raise UserError(f"{outputs} holds half of a segmentation model: {HEAD} and {DESCRIPTION} belong together")
    config = _object(files[CONFIG])
    if not isinstance(config.get("architecture"), str):
        raise UserError(f"{files[CONFIG]} names no architecture: timm could not load it")
    for each in (WEIGHTS, HEAD):
        if each in files:
            _check_tensors(files[each])
    described = _object(files[DESCRIPTION]) if DESCRIPTION in files else {}
    return SharedModel(run, plan, job, files, config, described, results(run, job.name))


def results(run: RunFolder, job: str) -> dict[str, Any]:
    """metrics.json of a job: the numbers of the very model that it has left; empty where it left none."""
    file = run.job(job).results
    return _object(file) if file.exists() else {}


def _others(run: RunFolder, plan: Plan) -> str:
    """Which jobs have left a model, for people."""
    having = [job.name for job in plan.jobs if (run.job(job.name).outputs / WEIGHTS).exists()]
    return f"; jobs of the run that have left a model: {', '.join(having)}" if having else ""


def _object(file: Path) -> dict[str, Any]:
    with records.intact(file), opened(file) as content:
        values = json.loads(content.read(LONGEST))
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        return values


def _check_tensors(file: Path) -> None:
    """Raise FormatError unless a file has the form of safetensors, and its whole length."""
    with records.intact(file), opened(file) as content:
        size = os.fstat(content.fileno()).st_size
        length = int.from_bytes(content.read(8), "little")
        if length > min(size, LONGEST):
            raise ValueError("no tensors")
        header: dict[str, Any] = json.loads(content.read(length))
        ends = [each["data_offsets"][1] for name, each in header.items() if name != "__metadata__"]
        if 8 + length + max(ends) != size:
            raise ValueError("it is cut short")


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """A regular file, and no link to one: what lies elsewhere was not left by the job."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"{file}: is no file that can be shared ({error.strerror})") from error
    with open(descriptor, "rb") as content:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{file}: is no regular file")
        yield content
