"""docs/extend/task.md, followed from an empty folder: a plugin's task trains a model, which others evaluate."""

import csv
import json
import re
from pathlib import Path

import pytest

from locat.contract.tracking import ParentRun
from locat.engine.tracking.client import MlflowClient
from support.documents import ROOT, shell_commands
from support.extending import follow, outsider, shown_code

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = ROOT / "docs/extend/task.md"
EXAMPLE = ROOT / "examples/own_task"


def test_every_command_does_what_the_reader_expects(tmp_path: Path) -> None:
    reader = outsider(tmp_path)
    said = follow(reader, shell_commands(PAGE))
    assert said["launcher validate own_task/rotations.yaml"] == "own_task/rotations.yaml: valid, 3 jobs\n"
    assert re.search(r"pretrain +done(.|\n)*knn +done", said["launcher status"])

    run = reader.run()
    results = json.loads((run.job("pretrain").outputs / "metrics.json").read_text())
    with (run.path / "report" / "report.csv").open() as file:
        means = {row["column"]: row["mean"] for row in csv.DictReader(file)}
    assert means.keys() == {"scikit-learn digits rotations told", "scikit-learn digits 20-NN"}
    assert float(means["scikit-learn digits rotations told"]) == pytest.approx(results["metrics"]["rotation"], abs=0.01)
    title = re.search(r'The report\'s table is\s+called "(.*?)"', PAGE.read_text())
    assert title and title[1] in (run.path / "report" / "report.md").read_text()
    parent = ParentRun.read(run.path)
    (job,) = MlflowClient(parent.uri).search_runs([parent.experiment_id], "params.task = 'rotations'")
    assert job.info.status == "FINISHED"
    assert job.data.metrics["val/rotation"] == pytest.approx(results["metrics"]["rotation"])

    wrong = reader.refused("launcher validate own_task/rotations.yaml --set jobs.pretrain.config.epochs=none")
    assert "jobs.pretrain.config.epochs: expected a positive integer, got 'none'" in wrong
    wrong = reader.refused("launcher validate own_task/rotations.yaml --set jobs.pretrain.task=rotation")
    assert "did you mean 'rotations'?" in wrong


def test_what_the_page_shows_is_in_the_example() -> None:
    assert shown_code(PAGE, EXAMPLE) == []
