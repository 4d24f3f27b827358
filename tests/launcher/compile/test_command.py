"""A program of the user's own in a pipeline: its words, what it is to leave, its ranks and its folder."""

from pathlib import Path

import pytest

from launcher.compile.compiler import compile_pipeline
from launcher.compile.estimate import Estimator
from launcher.language.load import validate
from launcher.plan import Plan
from locat.contract.problems import PipelineError
from locat.contract.yaml_source import Source, parse

PIPELINE = """
name: own
jobs:
  fit:
    task: command
    matrix: {rate: [1e-3, 2], fast: [true]}
    config:
      argv: [fit, --rate, "${matrix.rate}", "--fast=${matrix.fast}", --to, "${jobs.fit.outputs.model}", "$${HOME}"]
      outputs: {model: a/model.bin}
      metrics: numbers.json
  choose:
    task: command
    needs: [fit]
    resources: {nodes: 2, processes: 2}
    env: {BEST: "${jobs.choose.outputs.best}"}
    config:
      argv: [choose, "${jobs.fit.outputs.model}"]
      outputs: {best: best.bin}
      distributed: true
      cwd: /app
  compare: {task: compare, needs: [fit], config: {results: ["${jobs.fit.outputs.metrics}"]}}
"""


def source(text: str) -> Source:
    """As read from a file of the folder /work."""
    parsed = parse(text, "own.yaml")
    return Source(parsed.values, parsed.places, folder=Path("/work"))


def compiled(text: str, sees_folders: bool = True) -> Plan:
    return compile_pipeline(validate(source(text)), "r", Path("/runs"), sees_folders=sees_folders)


def test_references_become_words_and_later_jobs_find_what_earlier_ones_leave() -> None:
    plan = compiled(PIPELINE)
    jobs = {job.name: job for job in plan.jobs}
    fits = ["fit-0.001-true", "fit-2-true"]
    for name, rate in zip(fits, ("0.001", "2"), strict=True):
        model = f"/runs/r/jobs/{name}/outputs/a/model.bin"
        assert jobs[name].config["argv"] == ["fit", "--rate", rate, "--fast=true", "--to", model, "${HOME}"]
        assert jobs[name].config["cwd"] == "/work"
        assert jobs[name].command == ("python", "-m", "locat", f"/runs/r/jobs/{name}/config.yaml")
    choose = jobs["choose"]
    assert choose.config["argv"] == ["choose", *(f"/runs/r/jobs/{name}/outputs/a/model.bin" for name in fits)]
    assert choose.environment["BEST"] == "/runs/r/jobs/choose/outputs/best.bin"
    assert choose.command[:5] == ("python", "-m", "locat.ranks", "--nodes=2", "--processes=2")
    assert jobs["compare"].config["results"] == [f"/runs/r/jobs/{name}/outputs/metrics.json" for name in fits]
    estimate = Estimator(plan).of(choose)
    assert estimate.gpu_hours == (0, 0) and estimate.storage != estimate.storage, "what it leaves is not known"


def test_pods_are_told_their_folder() -> None:
    with pytest.raises(PipelineError) as error:
        compiled(PIPELINE, sees_folders=False)
    (line,) = str(error.value).splitlines()
    assert line.startswith(
        "own.yaml:7:5: jobs.fit.config.cwd: '.': jobs see no folder of this machine; give the absolute"
    )
    given = PIPELINE.replace("      metrics: numbers.json", "      metrics: numbers.json\n      cwd: /app")
    assert compiled(given, sees_folders=False).job("choose").config["cwd"] == "/app"


def test_other_tasks_do_not_refer_to_their_own_outputs() -> None:
    with pytest.raises(PipelineError, match="'compare' does not wait for 'compare'; add it to `needs`"):
        compiled(PIPELINE.replace("${jobs.fit.outputs.metrics}", "${jobs.compare.outputs.table}"))
