"""Pipeline -> Plan: matrices expanded, references followed, every job's config complete and valid."""

from collections.abc import Iterator
from pathlib import Path

from launcher.compile import notify
from launcher.compile.combinations import Report
from launcher.compile.instance import NOT_SEEN, CompileContext, InstanceCompiler
from launcher.compile.matrix import Expansion
from launcher.compile.resources import command, settle
from launcher.compile.storage import volumes
from launcher.language.model import Pipeline
from launcher.plan import DEFAULT_BACKEND, Plan, PlannedJob
from locat.config import TASKS
from locat.contract.errors import UserError
from locat.contract.problems import KeyPath, PipelineError, Problem
from locat.contract.tracking_uri import is_of_this_machine, located, of_file


def compile_pipeline(
    pipeline: Pipeline,
    run_id: str,
    runs_folder: Path,
    tracking_uri: str = "",
    backend: str = DEFAULT_BACKEND,
    sees_folders: bool = True,
) -> Plan:
    """The plan of one run of `pipeline`. Pure: it writes nothing, gives the same plan every time, and reads nothing.

    Only whether weights are there that a job is to begin with is looked at, where jobs see this machine's folders.

    Args:
        run_id: name of the run and of its folder.
        runs_folder: absolute path of the folder of runs, as jobs see it.
        tracking_uri: of MLflow where the pipeline names none; by default a SQLite store in the folder of runs.
        backend: where it is to run; only recorded.
        sees_folders: whether jobs see the folders of this machine: then paths may be relative, or begin with `~`.

    Raises:
        PipelineError: a matrix, a reference, resources or a job's config is wrong; lists every problem.
    """
    if not runs_folder.is_absolute():
        raise ValueError(f"{runs_folder}: not an absolute path")
    problems: list[Problem] = []

    def report(path: KeyPath, message: str) -> None:
        problems.append(pipeline.source.problem(path, message))

    instances = Expansion({name: job.matrix for name, job in pipeline.jobs.items()}, report)
    if problems:
        raise PipelineError(problems)
    uri = _tracking_uri(pipeline, sees_folders, report)
    run = CompileContext(
        pipeline=pipeline,
        id=run_id,
        folder=runs_folder / run_id,
        tracking_uri=uri or tracking_uri or of_file(runs_folder / "mlflow.db"),
        experiment=pipeline.tracking.experiment or pipeline.name,
        instances=instances,
        report=report,
        sees_folders=sees_folders,
    )
    jobs = tuple(planned for name in pipeline.in_order() for planned in _planned(run, name))
    if problems:
        raise PipelineError(problems)
    return Plan(
        run_id=run_id,
        pipeline=pipeline.name,
        description=pipeline.description,
        folder=run.folder,
        tracking_uri=run.tracking_uri,
        experiment=run.experiment,
        jobs=jobs,
        backend=backend,
        secrets=notify.secrets(pipeline),
        notify=notify.of_run(pipeline),
        gpus=tuple(figures.named(name) for name, figures in pipeline.gpus.items()),
    )


def _tracking_uri(pipeline: Pipeline, sees_folders: bool, report: Report) -> str:
    """What the pipeline says, with an absolute path where it names a file; empty if it says nothing."""
    uri, path = pipeline.tracking.uri or "", ("tracking", "uri")
    if not sees_folders and is_of_this_machine(uri):
        report(path, f"{NOT_SEEN}, or a server's URI")
    try:
        return located(uri, pipeline.source.folder_of(path))
    except (ValueError, UserError) as error:
        report(path, str(error))
        return ""


def _planned(run: CompileContext, name: str) -> Iterator[PlannedJob]:
    """The instances of one job of the pipeline."""
    job = run.pipeline.jobs[name]
    defaults = run.pipeline.defaults
    distributed = TASKS[job.task].reading(job.config).distributed
    resources = settle(job.resources, defaults.resources, distributed, ("jobs", name, "resources"), run.report)
    options = job.options.over(defaults.options)
    image = job.image or defaults.image or ""
    for path, message in options.check_job(image):
        where = ("jobs", name) if job.options.says(path) else ("defaults",)
        run.report((*where, "options", *path), message)
    for instance in run.instances.of[name]:
        scope = InstanceCompiler(run, instance)
        if not all(scope.upstream.values()):
            continue  # reported: an upstream job has no instance for this one
        config = scope.config(resources.nodes * resources.processes)
        environment = scope.environment(omp_threads=max(1, resources.cpus // resources.processes))
        yield PlannedJob(
            name=instance.name,
            group=name,
            matrix=instance.matrix,
            needs=scope.needs(),
            command=command(resources, run.job_folder(instance).config),
            environment=environment,
            resources=resources,
            retries=defaults.retries if job.retries is None else job.retries,
            config=config,
            options=options.model_dump(mode="json", exclude_defaults=True),
            image=image,
            storage=volumes({**defaults.storage, **job.storage}),
            notify=notify.of_job(run.pipeline, job),
        )
