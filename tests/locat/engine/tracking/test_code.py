"""What MLflow is told of the code of a run, and of the machines."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import RunTag

from locat.contract.job_folder import JobFolder
from locat.contract.source import Machine, Origin, Source
from locat.contract.tracking import ParentRun
from locat.engine.tracking import code
from locat.engine.tracking.parent_run import _told_code

ORIGIN = Origin("/home/me/locat", ("launcher", "locat"), commit="0123abc", branch="main")
SOURCE = Source("d" * 64, "/runs/.code/dd", 2, 10, 1.5, "submit", (ORIGIN,), "3.11.7", "l" * 64, {"torch": "2.11"})
CHANGED = replace(SOURCE, digest="e" * 64, origins=(replace(ORIGIN, patch="source-e.patch"),))


class Client:
    """What of MLflow's is used here."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.tags: dict[str, str] = {}

    def log_artifact(self, run_id: str, path: str) -> None:
        self.files.append(Path(path).name)

    def log_batch(self, run_id: str, tags: Sequence[RunTag]) -> None:
        self.tags |= {tag.key: tag.value for tag in tags}


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path / "jobs" / "a")
    folder.attempt(1).mkdir(parents=True)
    folder.attempt(2).mkdir()
    return folder


def test_the_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = replace(CHANGED, path=("/more",)).after(SOURCE)
    whole.write(tmp_path)
    assert Source.read(tmp_path) == whole
    assert whole.after(whole) == whole  # by a process that was killed before
    assert SOURCE.after(whole).earlier == (SOURCE, replace(whole, earlier=()))
    (tmp_path / "source.json").write_text("{")
    assert Source.read(tmp_path) is None


def test_a_runs_tags_are_those_of_its_code(tmp_path: Path) -> None:
    SOURCE.write(tmp_path)
    tags = code.of_run(tmp_path)
    assert tags["code"] == SOURCE.digest and tags["code.uncommitted"] == "nothing"
    assert (tags["mlflow.source.git.commit"], tags["mlflow.source.git.branch"]) == ("0123abc", "main")
    CHANGED.write(tmp_path)
    assert code.of_run(tmp_path)["code.uncommitted"] == "source-e.patch"


def test_a_jobs_tags_are_those_of_its_latest_attempt(tmp_path: Path, job: JobFolder) -> None:
    SOURCE.write(tmp_path)
    Machine("n1", "EPYC", code=SOURCE.digest).write(job.attempt(1))
    Machine("n2", "Xeon", ("H100", "H100"), code=SOURCE.digest).write(job.attempt(2))
    tags = code.of_job(job, tmp_path)
    assert (tags["host"], tags["cpu"], tags["gpus"]) == ("n2", "Xeon", "2 x H100")
    assert tags["code"] == SOURCE.digest and "image" not in tags


def test_a_job_is_told_of_the_code_it_ran_though_others_run_todays(tmp_path: Path, job: JobFolder) -> None:
    CHANGED.after(SOURCE).write(tmp_path)
    Machine("n1", code=SOURCE.digest).write(job.attempt(1))
    assert code.of_job(job, tmp_path)["code"] == SOURCE.digest
    Machine("n1", code=CHANGED.digest).write(job.attempt(2))
    assert code.of_job(job, tmp_path)["code.uncommitted"] == "source-e.patch"


def test_a_container_that_the_launcher_is_not_in_has_code_of_its_own(tmp_path: Path, job: JobFolder) -> None:
    SOURCE.write(tmp_path)
    Machine("n1", image="lab/locat@sha256:12").write(job.attempt(1))
    assert code.of_job(job, tmp_path) == {"host": "n1", "image": "lab/locat@sha256:12"}


def test_mlflow_has_record_and_patch_once_for_each_code(tmp_path: Path) -> None:
    client: Any = Client()
    parent = ParentRun("uri", "1", "2")
    assert _told_code(client, parent, tmp_path) == parent  # an older version's run
    SOURCE.write(tmp_path)
    parent = _told_code(client, parent, tmp_path)
    assert _told_code(client, ParentRun.read(tmp_path), tmp_path) == parent
    assert client.files == ["source.json"] and client.tags["code"] == SOURCE.digest
    (tmp_path / "source-e.patch").write_text("patch")
    CHANGED.after(SOURCE).write(tmp_path)
    _told_code(client, parent, tmp_path)
    assert client.files == ["source.json", "source.json", "source-e.patch"]
    assert client.tags["code"] == CHANGED.digest
