"""docs/extend/command.md, followed from an empty folder: programs in a chain, numbers compared and tracked."""

import json
import re
from pathlib import Path

import pytest

from locat.contract.comparison import Comparison
from locat.contract.tracking import ParentRun
from locat.engine.tracking.client import MlflowClient
from support.documents import ROOT, shell_commands
from support.extending import follow, outsider, shown_code

PAGE = ROOT / "docs/extend/command.md"
EXAMPLE = ROOT / "examples/own_command"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_command_does_what_the_reader_expects(tmp_path: Path) -> None:
    reader = outsider(tmp_path)
    said = follow(reader, shell_commands(PAGE))
    assert said["launcher validate own_command/line.yaml"] == "own_command/line.yaml: valid, 4 jobs\n"
    assert re.search(r"fit-0.05 +done(.|\n)*choose +done", said["launcher status"])
    assert "the best is fit-0.4" in said["launcher logs RUN choose"]

    run = reader.run()
    near = {name: json.loads(run.job(name).results.read_text())["metrics"]["near"] for name in ("fit-0.05", "fit-0.4")}
    table = Comparison.read(run.job("compare").outputs)
    assert table and {row["model"]: row["near"] for row in table.rows} == near
    reader.does("launcher sync")
    parent = ParentRun.read(run.path)
    tracked = MlflowClient(parent.uri).search_runs([parent.experiment_id], "params.task = 'command'")
    assert {job.info.run_name for job in tracked} == {"fit-0.05", "fit-0.4", "choose"}
    assert sorted(job.data.metrics["near"] for job in tracked if job.data.metrics) == sorted(near.values())


def test_what_the_page_shows_is_in_the_example() -> None:
    assert shown_code(PAGE, EXAMPLE) == []
