"""Runs from Python."""

import inspect
import json
import time
from pathlib import Path

import pytest

import launcher
from launcher.api import Run
from launcher.plan import Plan, PlannedJob
from launcher.runs.state import Status
from locat.contract.errors import UserError
from locat.contract.problems import PipelineError
from locat.contract.submission import Submission
from support import small_runs
from support.documents import ROOT, blocks

DIGITS = ROOT / "pipelines/digits.yaml"
TINY = {"name": "tiny", "jobs": {"convert": {"task": "convert", "config": {"dataset": {"name": "digits"}}}}}
RECORDS = """
import json, os, pathlib
job = pathlib.Path(os.environ["LOCAT_ATTEMPT_DIR"]).parents[1]
metrics = [(1, {"train/loss": 1.0}), (2, {"train/loss": 0.5, "val/top1": 70.0}), (2, {"usage/computing_seconds": 1.0})]
lines = [{"step": step, "time": 1.0, "metrics": values} for step, values in metrics]
(job / "metrics.jsonl").write_text("".join(json.dumps(line) + chr(10) for line in lines))
print("written")
"""


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAUNCHER_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def compiled_to(monkeypatch: pytest.MonkeyPatch, *jobs: PlannedJob) -> None:
    def compile_to(pipeline: object, run_id: str, folder: Path, uri: str, *_: object) -> Plan:
        return Plan(run_id, "test", "a test", folder / run_id, f"sqlite:///{folder}/mlflow.db", "test", jobs)

    monkeypatch.setattr("launcher.actions.plans.compile_pipeline", compile_to)


def test_a_run_from_submission_to_results(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_to(monkeypatch, small_runs.job("a", RECORDS), small_runs.job("b", needs=("a",)))
    run = launcher.submit(DIGITS, {"defaults.seed": 7, "name": "seven"})
    assert run.name.startswith("seven-") and run.path.parent == runs and run.jobs == ["a", "b"]
    view = run.wait(60)
    assert view.status == run.status().status == "done"
    assert [(job.name, job.status) for job in view.jobs] == [("a", Status.DONE), ("b", Status.DONE)]
    assert run.logs("a") == "written\n"
    assert [(record.step, record.metrics) for record in run.metrics("a")] == [
        (1, {"train/loss": 1.0}),
        (2, {"train/loss": 0.5, "val/top1": 70.0}),
        (2, {"usage/computing_seconds": 1.0}),
    ]
    assert run.metrics("b") == []
    assert Submission.read(run.path).settings == ("defaults.seed=7", 'name="seven"')
    assert launcher.find("seven") == launcher.find() == run == Run(run.path)


def test_the_page_does_what_it_says(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiled_to(monkeypatch, small_runs.job("pretrain-locatvit_tiny", RECORDS))
    monkeypatch.chdir(ROOT)
    code, _ = (block for language, block in blocks((ROOT / "docs/python.md").read_text()) if language == "python")
    exec(code)
    assert capsys.readouterr().out == "done\npretrain-locatvit_tiny done \n2 70.0\n"
    assert launcher.find("seed-1-").path.parent == runs


def test_a_run_is_cancelled_and_gone_on_with(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_to(monkeypatch, small_runs.job("a", small_runs.SLEEP_AT_FIRST))
    run = launcher.submit(str(DIGITS))
    with pytest.raises(TimeoutError, match=f"{run.name} goes on after 0 s"):
        run.wait(0)
    while not run.status().running:
        time.sleep(0.05)
    assert run.cancel(grace=0)[-1] == "cancelled: a"
    assert run.status().status == "cancelled"
    assert run.retry()[0] == "to be run again: a"
    assert run.wait(60).status == "done"
    assert run.cancel() == [f"nothing to cancel: {run.name} has ended"]


def test_a_pipeline_may_be_plain_values(runs: Path) -> None:
    from launcher.actions.submit import prepare

    ((pipeline, plan, _),) = prepare([{"include": str(DIGITS), "name": "mine"}], ["defaults.seed=3"], "local", runs)
    assert (pipeline.name, plan.job("pretrain-locatvit_tiny").config["seed"]) == ("mine", 3)
    kept = launcher.submit(TINY, name="kept")
    assert kept.cancel(grace=0) and "name: tiny" in (kept.path / "pipeline.yaml").read_text()
    assert kept.name.startswith("kept-")


def test_what_is_wrong_is_said_as_on_the_command_line(runs: Path) -> None:
    wrong = json.loads(json.dumps(TINY).replace("digits", "digts"))
    with pytest.raises(PipelineError, match=r"<pipeline>:\d+:\d+: jobs.convert.config.dataset.name: .*digits"):
        launcher.submit(wrong)
    for mistake in (
        lambda: launcher.submit(TINY, backend="slrum"),
        lambda: launcher.submit(TINY, name="a/b"),
        lambda: launcher.submit("missing.yaml"),
        lambda: launcher.find("nothing"),
        lambda: launcher.submit(TINY, runs="~nobody-of-this-name/runs"),
    ):
        with pytest.raises(UserError) as told:
            mistake()
        assert "\n" not in str(told.value)
    assert not runs.exists()


def test_the_surface() -> None:
    public = {name: str(inspect.signature(member)) for name, member in vars(Run).items() if callable(member)}
    assert {name: text for name, text in public.items() if not name.startswith("_")}.keys() == {
        *("cancel", "logs", "metrics", "outputs", "retry", "status", "wait")
    }
    assert [*inspect.signature(launcher.submit).parameters] == [
        "pipeline",
        "settings",
        "name",
        "backend",
        "runs",
        "origin",
    ]
    assert [*inspect.signature(launcher.find).parameters] == ["name", "runs"]
    with pytest.raises(AttributeError, match="has no attribute 'sumbit'"):
        _ = launcher.sumbit
