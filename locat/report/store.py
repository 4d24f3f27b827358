"""What MLflow knows of pipeline runs, as results; and the finished report back to it."""

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from locat.config import TASKS, JobConfig
from locat.contract.errors import UserError
from locat.contract.tracking import ParentRun
from locat.engine.tracking.client import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID, Run, connect, one_line
from locat.report.results import Origin, Result, RunSummary, Settings

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one a job, of a file of 200 bytes

INDIFFERENT = (
    *("task", "seed", "data", "backbone", "strategy", "micro_batch_size", "activation_checkpointing", "compile"),
    *("loader_threads", "log_every", "checkpoints", "skip_nonfinite", "step_timeout"),
    *("evaluate_epochs", "evaluate_iterations"),
)
"""Keys that do not tell two ways of training apart: whose numbers they are, and how these were computed."""
PLACES = ("dataset.source", "dataset.label")
"""Keys that only say where a dataset lay, and what it is called."""


@dataclass(frozen=True)
class TrackedRun:
    """A pipeline run as MLflow has it."""

    name: str
    parent: ParentRun
    tags: Mapping[str, str]
    jobs: tuple[Run, ...]

    def summary(self) -> RunSummary:
        """What a report tells of it."""
        uri = self.parent.uri
        page = f"{uri.rstrip('/')}/#/experiments/{self.parent.experiment_id}/runs/{self.parent.run_id}"
        unfinished = sorted(
            (job.info.run_name, job.info.status.lower()) for job in self.jobs if job.info.status != "FINISHED"
        )
        return RunSummary(
            name=self.name,
            pipeline=self.tags.get("pipeline", ""),
            commit=self.tags.get(MLFLOW_GIT_COMMIT, ""),
            link=page if uri.startswith(("http://", "https://")) else "",
            done=len(self.jobs) - len(unfinished),
            unfinished=tuple(unfinished),
        )


def read_run(folder: Path, uri: str | None = None) -> TrackedRun:
    """The run in `folder` and its jobs, from MLflow; found by its name where `uri` says how that is reached from here.

    Raises:
        UserError: it was not tracked yet, or MLflow does not answer.
    """
    parent = ParentRun.read(folder)
    if uri is None and not parent.run_id:
        raise UserError(
            f"{folder.name}: MLflow has nothing of this run; a job of it must have begun"
            " (--tracking-uri for a run whose folder is not seen here)"
        )
    try:
        if uri is not None:
            parent = _find(uri, folder.name)
        client = connect(parent.uri, make=False)
        tags = client.get_run(parent.run_id).data.tags
        wanted = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent.run_id}'"
        jobs: list[Run] = []
        page = None
        while page != "":
            found = client.search_runs([parent.experiment_id], wanted, page_token=page)
            jobs += found
            page = found.token or ""
    except Exception as error:
        where = uri or parent.uri
        raise UserError(f"{folder.name}: MLflow ({where}) does not tell of this run: {one_line(error)}") from error
    return TrackedRun(folder.name, parent, tags, tuple(jobs))


def _find(uri: str, name: str) -> ParentRun:
    """The MLflow run of the pipeline run called `name`."""
    client = connect(uri, make=False)
    experiments = [each.experiment_id for each in client.search_experiments()]
    for run in client.search_runs(experiments, f"tags.run_id = '{name}'"):
        if MLFLOW_PARENT_RUN_ID not in run.data.tags:
            return ParentRun(uri, run.info.experiment_id, run.info.run_id)
    raise LookupError("it has no such run")


def results(runs: Iterable[TrackedRun]) -> list[Result]:
    """The numbers of every finished job of these runs that evaluated a model, by a task that is installed here."""
    jobs = [_Job(run, job) for run in runs for job in run.jobs]
    by_outputs = {job.outputs: job for job in jobs if job.outputs}
    return [_result(job, by_outputs) for job in jobs if job.run.info.status == "FINISHED" and job.evaluates]


def unknown_tasks(runs: Iterable[TrackedRun]) -> list[str]:
    """Tasks of these runs that are not installed here, of which a report can say nothing."""
    tasks = {job.data.params.get("task", "") for run in runs for job in run.jobs}
    return sorted(task for task in tasks if task and task not in TASKS)


def log_report(run: TrackedRun, files: Iterable[Path]) -> None:
    """Add the report to the pipeline run's MLflow run, under report/."""
    client = connect(run.parent.uri, make=False)
    try:
        for file in files:
            client.log_artifact(run.parent.run_id, str(file), "report")
    except Exception as error:
        raise UserError(f"{run.name}: MLflow ({run.parent.uri}) takes no report: {one_line(error)}") from error


@dataclass(frozen=True)
class _Job:
    """One job of a run, with what is read of it on use."""

    of: TrackedRun
    run: Run

    @property
    def params(self) -> dict[str, str]:
        params: dict[str, str] = self.run.data.params
        return params

    @property
    def task(self) -> type[JobConfig] | None:
        """None for a task that is not installed here."""
        return TASKS.get(self.params["task"])

    @property
    def evaluates(self) -> bool:
        return self.task is not None and bool(self.task.headline)

    @property
    def outputs(self) -> str:
        """Where other jobs found what it left."""
        folder = self.run.data.tags.get("job_folder")
        return f"{folder}/outputs" if folder else ""

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """Its metrics.json: see `locat.tasks.results`."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                client = connect(self.of.parent.uri, make=False)
                file = client.download_artifacts(self.run.info.run_id, "metrics.json", folder)
                values: dict[str, Any] = json.loads(Path(file).read_text())
                return values
            except Exception as error:
                name = f"{self.run.info.run_name} of {self.of.name}"
                remedy = f"`launcher sync {self.of.name}` sends what it missed"
                raise UserError(f"{name}: MLflow has not its metrics.json; {remedy}: {one_line(error)}") from error


def _result(job: _Job, by_outputs: Mapping[str, _Job]) -> Result:
    params, numbers = job.params, job.numbers
    backbone, seed = params.get("backbone", ""), params.get("seed", "")
    trained = job if job.task and job.task.trained else by_outputs.get(str(Path(backbone)))
    seeds = (seed,) if trained is job else (trained.params["seed"] if trained else backbone, seed)
    return Result(
        task=params["task"],
        model=numbers["model"],
        dataset=numbers["dataset"],
        metrics=numbers["metrics"],
        contents=numbers.get("contents", ""),
        protocol=numbers.get("protocol", ""),
        variant=numbers.get("variant", ""),
        origin=_origin(trained, by_outputs) if trained else Origin(),
        seeds=seeds,
        settings=() if trained is job else _settings(params),
        run=job.of.name,
        job=job.run.info.run_name,
        ended=(job.run.info.end_time or 0) / 1000,
    )


def _origin(trained: _Job, by_outputs: Mapping[str, _Job]) -> Origin:
    converted = by_outputs.get(str(Path(trained.params.get("data.train", "")).parent))
    dataset = {} if converted is None else converted.params
    told = {key: value for key, value in dataset.items() if key.startswith("dataset.") and key not in PLACES}
    return Origin(
        trained.params["task"], trained.numbers["dataset"], (*sorted(told.items()), *_settings(trained.params))
    )


def _settings(params: Mapping[str, str]) -> Settings:
    return tuple(sorted((key, value) for key, value in params.items() if key.split(".")[0] not in INDIFFERENT))
