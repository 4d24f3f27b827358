"""Reports from a real MLflow store, of jobs that were logged as jobs are, with the configs of shipped pipelines."""

import csv
import json
import re
import sys
import time
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.plan import Plan
from locat.config import TASKS, Model, load_job
from locat.contract.errors import UserError
from locat.contract.job_folder import JobFolder
from locat.contract.tracking import ParentRun
from locat.engine.tracking.job_run import JobRun
from locat.engine.tracking.parent_run import end_parent_run
from locat.engine.tracking.state_files import Lifetime, only_sender
from locat.models.create import title
from locat.report.__main__ import main, write_report
from locat.report.store import read_run, results, unknown_tasks

pytestmark = pytest.mark.slow

PIPELINES = Path(__file__).parents[3] / "pipelines"
EVERYTHING = ".*"
SOURCES = {"digits": "scikit-learn digits", "imagenet": "ImageNet-1K", "ade20k": "ADE20K"}


def logged(runs: Path, pipeline: str, run: str, wanted: str, *overrides: str) -> Plan:
    """A run of which the jobs called `wanted` are done and in MLflow, with made up numbers."""
    plan = compile_pipeline(load(PIPELINES / f"{pipeline}.yaml", overrides), run, runs)
    sources: dict[str, str] = {}
    models: dict[str, str] = {}
    for planned in plan.jobs:
        config, job = planned.config, plan.job_folder(planned.name)
        if config["task"] == "convert":
            sources[str(job.outputs / "train.beton")] = SOURCES.get(config["dataset"]["name"], "another set")
        elif config["task"] == "supervised":
            models[str(job.outputs)] = title(Model(**config["model"]))
        if not re.fullmatch(wanted, planned.name):
            continue
        numbers = {}
        if "data" in config:
            metrics = (
                {"miou": 20.0 + len(planned.name)} if config["task"] == "segment" else {"top1": 60.0 + config["seed"]}
            )
            model = models.get(config.get("backbone", str(job.outputs))) or Path(config["backbone"]).name
            source = sources[config["data"]["train"]]
            numbers = {"task": config["task"], "model": model, "dataset": source, "metrics": metrics}
        log(job, config, numbers)
    end_parent_run(plan.folder, "FINISHED", time.time())
    return plan


def log(job: JobFolder, config: dict[str, object], numbers: dict[str, object]) -> None:
    """A finished job, as its own tracker tells MLflow of it."""
    job.outputs.mkdir(parents=True)
    job.config.write_text(yaml.safe_dump(config))
    if numbers:
        job.results.write_text(json.dumps(numbers))
    Lifetime.begin(job).end(job, "FINISHED")
    lifetime, loaded = Lifetime.read(job), load_job(job.config)
    assert lifetime is not None and loaded.tracking is not None
    with only_sender(job.path) as key:
        JobRun(job, loaded, loaded.tracking, key, lifetime.started, running=False).end(lifetime)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plan]:
    """One store with a run of each pipeline that a report must understand."""
    runs = tmp_path_factory.mktemp("runs")
    return {
        "digits": logged(runs, "digits", "digits-1", EVERYTHING),
        "seed": logged(runs, "digits", "digits-2", EVERYTHING, "defaults.seed=1"),
        "parts": logged(runs, "digits_parts", "parts-1", "(?!.*gap).*"),
        "table1": logged(
            runs, "table1", "table1-1", "(pretrain|segment)-(locatvit_tiny|vit_tiny_patch16_224)(-ade20k)?"
        ),
        "related": logged(runs, "related_work", "related-1", "segment-convit_base-ade20k"),
        "nothing": logged(runs, "digits", "nothing-1", "convert"),
    }


def rows(output: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((output / "report.csv").open()))


def test_digits_in_two_runs_are_two_seeds_of_one_study(store: dict[str, Plan], tmp_path: Path) -> None:
    write_report([store["digits"].folder, store["seed"].folder], tmp_path)
    found = [row for row in rows(tmp_path) if row["table"] == "study-1" and row["column"].endswith("top-1")]
    assert [(row["model"], row["mean"], row["n"], row["seeds"]) for row in found] == [
        ("vit_tiny_patch16_224", "60.5", "2", "0 1"),
        ("locatvit_tiny", "60.5", "2", "0 1"),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.html", "report.csv", "study-1.png"}
    assert (tmp_path / "study-1.png").read_bytes().startswith(b"\x89PNG")


def test_parts_are_models_of_their_own_and_what_has_not_run_is_not_there(store: dict[str, Plan]) -> None:
    found = results([read_run(store["parts"].folder)])
    assert {result.model for result in found} == {
        "vit_tiny_patch16_224",
        "locatvit_tiny",
        "locatvit_tiny, prr=False",
        "locatvit_tiny, gaug=False",
    }
    assert {result.seeds for result in found if result.task == "segment"} == {(str(seed),) * 2 for seed in range(3)}


def test_the_papers_table_is_told_by_models_and_datasets(store: dict[str, Plan], tmp_path: Path) -> None:
    write_report([store["table1"].folder], tmp_path)
    found = {
        (row["label"], row["column"]): row
        for row in rows(tmp_path)
        if row["table"] == "table-1" and row["size"] == "Tiny"
    }
    assert found["ViT", "ImageNet-1K top-1"]["difference"] == "-12.39"
    assert found["LocAtViT", "ADE20K mIoU (frozen)"]["mean"] != ""
    assert found["Swin", "ImageNet-1K top-1"]["mean"] == ""


def test_released_backbones_are_in_tab_5(store: dict[str, Plan], tmp_path: Path) -> None:
    write_report([store["related"].folder], tmp_path)
    found = [row for row in rows(tmp_path) if row["mean"]]
    assert ("table-5", "ConViT", "ADE20K mIoU (frozen)") in {
        (row["table"], row["label"], row["column"]) for row in found
    }


def test_the_parent_run_gets_the_report_once_however_often(store: dict[str, Plan], tmp_path: Path) -> None:
    parent = ParentRun.read(store["digits"].folder)
    for _ in range(2):
        files = write_report([store["digits"].folder], tmp_path)
    there = MlflowClient(parent.uri).list_artifacts(parent.run_id, "report")
    assert {entry.path for entry in there} == {f"report/{file.name}" for file in files}


def test_who_has_no_numbers_is_told_why_in_one_line(
    store: dict[str, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report", str(store["nothing"].folder)])
    assert main() == 2
    said = "nothing-1: MLflow has no numbers yet: no job that evaluates a model is done (`launcher status`)\n"
    assert capsys.readouterr().err == said
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path)])
    assert main() == 2
    said = f"{tmp_path.name}: MLflow has nothing of this run; a job of it must have begun"
    said += " (--tracking-uri for a run whose folder is not seen here)\n"
    assert capsys.readouterr().err == said


def test_a_run_whose_folder_is_not_seen_here_is_found_by_its_name(store: dict[str, Plan], tmp_path: Path) -> None:
    uri = store["digits"].tracking_uri
    elsewhere, here = read_run(tmp_path / "digits-1", uri), read_run(store["digits"].folder)
    assert elsewhere.parent.run_id == here.parent.run_id
    assert results([elsewhere]) == results([here])
    with pytest.raises(UserError, match="does not tell of this run: it has no such run"):
        read_run(tmp_path / "digits-9", uri)


def test_tasks_that_are_not_installed_here_are_named(store: dict[str, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [read_run(store["digits"].folder)]
    assert unknown_tasks(runs) == []
    monkeypatch.setattr(TASKS, "own", {name: place for name, place in TASKS.own.items() if name != "segment"})
    monkeypatch.delitem(TASKS._loaded, "segment", raising=False)
    assert unknown_tasks(runs) == ["segment"]
    assert {result.task for result in results(runs)} == {"supervised"}


def test_where_nothing_can_be_written_the_reason_is_said(store: dict[str, Plan], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="the report cannot be written there: Not a directory"):
        write_report([store["digits"].folder], tmp_path / "file" / "report")
