"""What people see of a run in MLflow: its pages in headless Chromium, from a real server."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.runs.create import create
from locat.config import CompareConfig, ConvertConfig, JobConfig, TrainingConfig, load_job
from locat.contract.job_folder import JobFolder
from locat.engine.tracking.job_run import JobRun
from locat.engine.tracking.metric_log import MetricLog
from locat.engine.tracking.parent_run import end_parent_run
from locat.engine.tracking.state_files import Lifetime, only_sender
from support import browser
from support.mlflow_pages import Pages, open_pages
from support.mlflow_server import Server
from support.required import require

pytestmark = pytest.mark.slow
PIPELINE = Path(__file__).parents[4] / "pipelines" / "digits.yaml"
JOB = "pretrain-locatvit_tiny"
NUMBERS = {"top1": 71.25, "top5": 95.5}
MANIFEST = {
    "contents": {"samples": 128, "classes": ["0", "1"], "mask_classes": [], "source": "scikit-learn digits"},
    "sha256": "0123456789abcdef" * 4,
    "bytes": 1,
}


@pytest.fixture(scope="module")
def pages(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    """A browser, and a run of the digits pipeline, all logged as jobs log themselves."""
    require(browser.missing())
    runs = tmp_path_factory.mktemp("runs")
    settings = [f"tracking.uri={server.uri}"]
    pipeline = load(PIPELINE, settings)
    plan = compile_pipeline(pipeline, "digits-1", runs)
    create(plan, pipeline.source.data.decode(), runs, pipeline.source, settings)
    for planned in plan.jobs:
        job = plan.job_folder(planned.name)
        job.outputs.mkdir(parents=True)
        finish(job, load_job(job.config))
    end_parent_run(plan.folder, "FINISHED", time.time())
    with open_pages(plan.folder) as opened:
        yield opened


def finish(job: JobFolder, config: JobConfig) -> None:
    """Leave what such a job leaves, and tell MLflow."""
    log = MetricLog(job.metrics)
    match config:
        case ConvertConfig():
            for name in ("train", "val"):
                (job.outputs / f"{name}.beton.json").write_text(json.dumps(MANIFEST))
        case CompareConfig():
            log.append(0, {"locatvit_tiny/top1": NUMBERS["top1"]})
        case TrainingConfig():
            for step in range(1, 6):
                log.append(step, {"train/loss": 1 / step, "throughput/images_per_second": 200.0 + step})
            log.append(5, {f"val/{name}": value for name, value in NUMBERS.items()})
            job.figures.mkdir()
            pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
            Image.fromarray(pixels).save(job.figures / "attention.png")
            if config.task == "supervised":
                (job.outputs / "model.safetensors").write_bytes(b"weights")
            model = job.name.partition("-")[2]
            results = {"task": config.task, "model": model, "dataset": "scikit-learn digits", "metrics": NUMBERS}
            job.results.write_text(json.dumps(results))
    lifetime = Lifetime.begin(job).end(job, "FINISHED")
    assert config.tracking is not None
    with only_sender(job.path) as key:
        JobRun(job, config, config.tracking, key, lifetime.started, running=False).end(lifetime)


def test_the_list_of_runs_has_the_jobs_below_their_pipeline_with_their_numbers_and_datasets(pages: Pages) -> None:
    pages.experiment()
    pages.seen("digits-1", "Duration", "val/top1", "train/loss", "seed", "Dataset", "7 matching runs")
    pages.seen(
        "convert", "compare", JOB, "segment-vit_tiny", str(NUMBERS["top1"]), "scikit-learn digits (0123456789ab)"
    )


def test_the_pipelines_run_tells_what_it_is_and_has_the_numbers_that_were_compared(pages: Pages) -> None:
    pages.of_parent()
    pages.seen("ViT against LocAtViT on digit scenes", "Finished", "locatvit_tiny/top1", str(NUMBERS["top1"]))
    pages.find("//*[normalize-space(text()) = 'Show more']").click()
    pages.seen("launcher report digits-1", f"launcher submit {pages.run / 'pipeline.yaml'}", "supervised")
    pages.find(f"//a[contains(., '{JOB}')]")
    pages.follow("runs with their numbers")
    pages.seen("digits-1", "val/top1")


def test_a_job_leads_to_its_pipeline_the_jobs_before_it_its_datasets_and_its_model(pages: Pages) -> None:
    pages.of_job(JOB)
    pages.seen("Datasets", "scikit-learn digits", "locat.tasks.classification.supervised", "digits locatvit_tiny")
    pages.follow("convert")
    pages.seen("no other job's outputs")


def test_charts_are_in_sections_and_drawn(pages: Pages) -> None:
    pages.of_job(JOB, "/model-metrics")
    pages.seen("throughput", "train", "val")
    pages.charts("train")


def test_a_picture_among_the_artifacts_is_shown(pages: Pages) -> None:
    pages.of_job(JOB, "/artifacts/figures/attention.png")
    assert pages.picture().get_attribute("naturalWidth") == "90"


def test_a_registered_model_shows_the_numbers_that_earned_it(pages: Pages) -> None:
    assert pages.registered_model(JOB) == "digits locatvit_tiny"
    pages.seen("top1 71.25, top5 95.50 on scikit-learn digits; trained by", "Source Run")
    assert pages.driver.find_elements(By.XPATH, f"//a[contains(@href, '/runs/') and . = '{JOB}']")
