"""What MLflow is told of the code that jobs run, and of the machines they run on."""

from pathlib import Path

from mlflow.entities import RunTag
from mlflow.utils.git_utils import get_git_commit
from mlflow.utils.mlflow_tags import MLFLOW_GIT_BRANCH, MLFLOW_GIT_COMMIT

from locat.contract import source
from locat.contract.job_folder import JobFolder
from locat.contract.source import Machine, Source
from locat.engine.tracking.client import MlflowClient

LENGTH = 5000  # characters that every server takes for a tag's value


def of_run(run: Path) -> dict[str, str]:
    """Tags of the run in a folder; of one without a record, the commit of this very code if that is told."""
    found = Source.read(run)
    if found is None:
        return _told({MLFLOW_GIT_COMMIT: get_git_commit(str(Path(__file__).parent)) or ""})
    return _of_source(found)


def _of_source(found: Source) -> dict[str, str]:
    project = found.origins[0]
    tags = {
        "code": found.digest,
        "code.uncommitted": project.patch or project.note or "nothing",
        "code.lock": found.lock,
        "python": found.python,
        MLFLOW_GIT_COMMIT: project.commit,
        MLFLOW_GIT_BRANCH: project.branch,
    }
    return _told(tags)


def of_job(job: JobFolder, run: Path) -> dict[str, str]:
    """Tags of a job, by its latest attempt; nothing of code that the launcher cannot see, as in Slurm's containers."""
    found, known = Machine.read(job), Source.read(run)
    if found is None:
        return of_run(run)
    if known is None:
        code = {} if found.image else of_run(run)
    else:
        ran = known.of(found.code)
        code = _of_source(ran) if ran else {}
    models = dict.fromkeys(found.gpus)
    gpus = ", ".join(f"{found.gpus.count(model)} x {model}" for model in models)
    machine = {"host": found.host, "cpu": found.cpu, "gpus": gpus, "image": found.image}
    return {**code, **_told(machine)}


def send(client: MlflowClient, run_id: str, run: Path, found: Source) -> None:
    """Give a pipeline run the record of its code, with the patches, and the tags."""
    for name in (source.NAME, *found.patches):
        if (run / name).is_file():
            client.log_artifact(run_id, str(run / name))
    set_tags(client, run_id, _of_source(found))


def set_tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    """Set these tags of a run, in one request."""
    if tags:
        client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def _told(tags: dict[str, str]) -> dict[str, str]:
    return {name: value[:LENGTH] for name, value in tags.items() if value}
