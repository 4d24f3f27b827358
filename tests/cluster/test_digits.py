"""The digits chain on the real cluster, in the real image: two pods a pretraining, and the same numbers as here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.run_folder import RunFolder, list_runs
from locat.engine.metric_log import read_records

from .site import IMAGE, Site, statuses

pytestmark = [pytest.mark.cluster, pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
SMALL = (
    "jobs.convert.config.dataset.train_scenes=128",
    "jobs.convert.config.dataset.val_scenes=33",
    "jobs.pretrain.config.epochs=2",
    "jobs.pretrain.config.batch_size=32",
    "jobs.pretrain.config.log_every=1",
    "jobs.segment.config.iterations=6",
    "jobs.segment.config.log_every=1",
)
IN_POD = (f"defaults.image={IMAGE}", "defaults.resources.memory=2G", "tracking.uri=sqlite:////runs/mlflow.db")
OF_TIME = ("ranks/", "throughput/")
"""Metrics that tell of speed."""


def launcher(runs: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "launcher", *arguments]
    environment = {**os.environ, "LAUNCHER_RUNS": str(runs)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def settings(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The chain on this machine, with two ranks."""
    runs = tmp_path_factory.mktemp("local")
    launcher(runs, "submit", "pipelines/digits.yaml", "--wait", *settings(*SMALL))
    return list_runs(runs)[0]


def numbers(run: RunFolder, job: str) -> list[tuple[int, dict[str, float]]]:
    """What a job logged that does not tell of speed."""
    return [
        (record.step, {name: value for name, value in record.metrics.items() if not name.startswith(OF_TIME)})
        for record, _ in read_records(run.job(job).metrics, 0)
    ]


def results(run: RunFolder, job: str) -> Any:
    return json.loads(run.job(job).results.read_text())["metrics"]


@pytest.mark.parametrize("how", ["submit", "kubectl"])
def test_the_chain_gives_the_numbers_of_this_machine(how: str, site: Site, here: RunFolder, tmp_path: Path) -> None:
    example = ["k8s/examples/digits.yaml", "--backend", "kubernetes", *settings(*SMALL, *IN_POD)]
    if how == "submit":
        launcher(tmp_path, "submit", *example)
    else:
        launcher(tmp_path, "render", *example, "--run-id", "applied", "--output", str(tmp_path / "manifests"))
        site.kubectl("apply", "-k", str(tmp_path / "manifests"))
        launcher(tmp_path, "list", "--backend", "kubernetes")
    run = next(each for each in list_runs(tmp_path) if how == "submit" or each.name == "applied")
    view = site.until_ended(run)
    assert set(statuses(view).values()) == {"done"}
    there = site.folder(run)
    for job in statuses(view):
        if job.startswith(("pretrain", "segment")):
            assert numbers(there, job) == numbers(here, job)
            assert results(there, job) == results(here, job)
