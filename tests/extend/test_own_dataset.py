"""docs/extend/dataset.md, followed from an empty folder: a plugin's dataset is converted, trained on and reported."""

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

PAGE = ROOT / "docs/extend/dataset.md"
EXAMPLE = ROOT / "examples/own_dataset"


def test_every_command_does_what_the_reader_expects(tmp_path: Path) -> None:
    reader = outsider(tmp_path)
    said = follow(reader, shell_commands(PAGE))
    assert said["launcher validate own_dataset/sheets.yaml"] == "own_dataset/sheets.yaml: valid, 2 jobs\n"
    assert re.search(r"convert +done(.|\n)*train +done", said["launcher status"])

    run = reader.run()
    results = json.loads((run.job("train").outputs / "metrics.json").read_text())
    assert results["dataset"] == "digits on sheets"
    with (run.path / "report" / "report.csv").open() as file:
        (row,) = (row for row in csv.DictReader(file) if row["column"] == "digits on sheets top-1")
    assert float(row["mean"]) == pytest.approx(results["metrics"]["top1"], abs=0.01)
    parent = ParentRun.read(run.path)
    found = MlflowClient(parent.uri).search_runs([parent.experiment_id], "params.`dataset.name` = 'contact_sheets'")
    assert [job.info.status for job in found] == ["FINISHED"]

    pipeline = tmp_path / "own_dataset/sheets.yaml"
    pipeline.write_text(pipeline.read_text().replace("folder: /", "foldr: /"))
    wrong = reader.refused("launcher validate own_dataset/sheets.yaml")
    assert "sheets.yaml:12:39: jobs.convert.config.dataset.foldr: unknown key 'foldr'; did you mean 'folder'?" in wrong


def test_what_the_page_shows_is_in_the_example() -> None:
    assert shown_code(PAGE, EXAMPLE) == []
