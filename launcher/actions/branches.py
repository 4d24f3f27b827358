"""`submit --from`: one job of a plan goes on from a checkpoint of another run's job, if its config can."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from launcher.actions.plans import present
from launcher.backends import BACKENDS
from launcher.backends.base import Places
from launcher.language.model import Pipeline
from launcher.plan import BRANCHED_FROM, Plan, PlannedJob
from launcher.runs.create import Start
from launcher.runs.find import find, find_job
from launcher.runs.folder import RunFolder
from locat.config import TASKS, TrainingConfig
from locat.config.branch import Branch, refusals
from locat.config.choice import choose
from locat.config.weights import JobWeights, job_weights
from locat.contract.checkpoint_folder import UNREADABLE, read_manifest, step_of
from locat.contract.errors import UserError, WeightsError
from locat.contract.problems import KeyPath, PipelineError, Problem


@dataclass(frozen=True)
class Parent:
    """The job that `--from` names."""

    run: RunFolder
    plan: Plan
    job: PlannedJob
    at: str

    @classmethod
    def named(cls, reference: str, runs: Path) -> "Parent":
        """What RUN/JOB, RUN/JOB@best or RUN/JOB@STEP is in the folder of runs.

        Raises:
            UserError: nothing.
        """
        named: JobWeights | None = job_weights(f"run:{reference}")
        if named is None:
            raise UserError(f"--from {reference}: write RUN/JOB, RUN/JOB@best or RUN/JOB@STEP")
        run = find(runs, named.run)
        plan = run.plan()
        job = plan.job(find_job(plan, named.job))
        if _training(job) is None:
            raise UserError(
                f"--from {reference}: {job.name} of run {run.name} does not train, so it has no checkpoints"
            )
        return cls(run, plan, job, named.at)

    def branch(self, places: Places) -> tuple[Branch, Path | None]:
        """What a job with these places is told, and the checkpoint where this machine sees it.

        Raises:
            UserError: the job would not see it, or there is none.
        """
        if not places.sees_folders:
            return Branch(job=places.runs / self.run.name / "jobs" / self.job.name, at=self.at), None
        if not BACKENDS[self.plan.backend].places(self.run.path.parent).sees_folders:
            raise UserError(
                f"{self.run.name} is a run of {self.plan.backend}, whose checkpoints are not seen from here; "
                f"submit with --backend {self.plan.backend}"
            )
        folder = self.run.job(self.job.name)
        checkpoint = choose(folder, self.at)
        return Branch(job=folder.path, at=str(step_of(checkpoint))), checkpoint


def with_starts(
    made: Iterable[tuple[Pipeline, Plan]], origin: str | None, runs: Path, places: Places
) -> list[tuple[Pipeline, Plan, Start | None]]:
    """Pipelines and plans as they are, or, where `origin` names a checkpoint, with a job of each that goes on from it.

    Raises:
        PipelineError: in one of them no job can; lists the problems of all.
        UserError: there is no such checkpoint.
    """
    if origin is None:
        return [(pipeline, plan, None) for pipeline, plan in made]
    problems: list[Problem] = []
    found: list[tuple[Pipeline, Plan, Start | None]] = []
    for pipeline, plan in made:
        present(plan)
        parent = Parent.named(origin, runs)
        try:
            found.append((pipeline, *branched(pipeline, plan, parent, places)))
        except PipelineError as error:
            problems += error.problems
    if problems:
        raise PipelineError(problems)
    return found


def branched(pipeline: Pipeline, plan: Plan, parent: Parent, places: Places) -> tuple[Plan, Start]:
    """The plan with the one job that goes on from `parent`: the job of its name, or else the only one that trains.

    Raises:
        PipelineError: there is no such job, or its config cannot go on from there; names the keys.
        UserError: the checkpoint is not there, or the job would not see it.
    """
    job = _heir(pipeline, plan, parent)
    if not places.sees_folders:
        _check_storage(job, parent, plan.backend, places)
    branch, checkpoint = parent.branch(places)
    config = _training(job)
    assert config is not None, "such a job was chosen"
    position = None if checkpoint is None else _position(checkpoint)
    found = [
        Problem(*_written(pipeline, job, path), f"{message} ({branch})")
        for path, message in refusals(_recorded(parent), config, position)
    ]
    if found:
        raise PipelineError(found)
    tracking = {**job.config["tracking"]}
    tracking["tags"] = {**tracking["tags"], BRANCHED_FROM: str(branch)}
    values = {**job.config, "branch": branch.model_dump(mode="json"), "tracking": tracking}
    jobs = tuple(replace(each, config=values) if each.name == job.name else each for each in plan.jobs)
    return replace(plan, jobs=jobs), Start(job.name, str(branch), checkpoint)


def _heir(pipeline: Pipeline, plan: Plan, parent: Parent) -> PlannedJob:
    training = [job for job in plan.jobs if _training(job) is not None]
    same = [job for job in training if job.name == parent.job.name]
    if len(found := same or training) == 1:
        return found[0]
    which = f"{', '.join(job.name for job in training)} all train" if training else "none trains"
    message = (
        f"which job goes on from {parent.job.name} of {parent.run.name}? None that trains has its name, and {which}"
    )
    raise PipelineError([pipeline.source.problem(("jobs",), message)])


def _check_storage(job: PlannedJob, parent: Parent, backend: str, places: Places) -> None:
    """See that both jobs have the same folder of runs, which this machine does not see."""

    def volume(of: PlannedJob) -> list[dict[str, Any]]:
        return [asdict(volume) for volume in of.storage if volume.mount == str(places.runs)]

    if parent.plan.backend != backend or volume(job) != volume(parent.job):
        raise UserError(
            f"job {job.name} would not see the checkpoints of {parent.job.name} of {parent.run.name}, a run of "
            f"{parent.plan.backend}: both need the same backend and the same storage at {places.runs}"
        )


def _training(job: PlannedJob) -> TrainingConfig | None:
    """The config of a job that trains; None of any other, or of one that this version does not know."""
    task = str(job.config.get("task"))
    if task not in TASKS or not issubclass(TASKS[task], TrainingConfig):
        return None
    try:
        config = TASKS[task].reading(job.config).model_validate(job.config)
    except ValidationError:
        return None
    return config if isinstance(config, TrainingConfig) else None


def _recorded(parent: Parent) -> dict[str, Any]:
    config = _training(parent.job)
    assert config is not None, "looked at when it was named"
    return config.decisive()


def _position(checkpoint: Path) -> Mapping[str, int]:
    try:
        position: Mapping[str, int] = read_manifest(checkpoint)["position"]
        return {key: int(position[key]) for key in ("step", "epoch", "batch")}
    except UNREADABLE as error:
        raise WeightsError(f"{checkpoint}: its manifest cannot be read ({error}); name another checkpoint") from error


def _written(pipeline: Pipeline, job: PlannedJob, path: KeyPath) -> tuple[Any, KeyPath]:
    """Where the user wrote a key of a job's config; at the config, or the job, where it is not written at all."""
    own: KeyPath = ("jobs", job.group)
    places = pipeline.source.places
    elsewhere: list[KeyPath] = [(*own, *path), ("defaults", *path)] if path[0] in ("task", "strategy", "seed") else []
    for whole in [(*own, "config", *path), *elsewhere]:
        for end in range(len(whole), len(whole) - len(path), -1):
            if whole[:end] in places:
                return places[whole[:end]], whole
    return places[pipeline.source.known((*own, "config", *path))], (*own, "config", *path)
