"""Runs on a real Slurm cluster of two nodes, started for these tests on this machine."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import launcher
from launcher.backends import BACKENDS, look
from launcher.compile.resources import command
from launcher.plan import Event, Notification, PlannedJob
from launcher.runs.find import list_runs
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import RunView
from launcher.snapshot.take import take
from support import small_runs, training
from support.own_module import BROKEN, OwnModule
from support.slurm_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[4]
LOSS = "train/loss"
SMALL_DIGITS = (
    "defaults.resources.processes=1",
    "jobs.convert.config.dataset.train_scenes=64",
    "jobs.convert.config.dataset.val_scenes=16",
    "jobs.pretrain.config.epochs=1",
    "jobs.segment.config.iterations=3",
    "jobs.pretrain.matrix.model=[locatvit_tiny]",
    "jobs.segment.matrix.model=[locatvit_tiny]",
)
SLOW = 200.0
"""Seconds; torch is imported by several processes at once."""
LONGER = small_runs.SAVE + small_runs.CHECKPOINT_AT_FIRST.replace("sleep(60)", "sleep(600)")


@pytest.fixture(scope="module", autouse=True)
def out_of_time(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A job whose limit of two minutes passes while the other tests run."""
    return started(tmp_path_factory.mktemp("limit"), small_runs.job("a", LONGER, time=2))


def started(folder: Path, *jobs: PlannedJob, name: str = "") -> RunFolder:
    """A run that Slurm has taken."""
    code = take(folder, (), "submit")
    run = small_runs.make(folder, *jobs, name=name or f"test-{time.monotonic_ns()}", backend="slurm", code=code)
    BACKENDS["slurm"].check(run.plan())
    BACKENDS["slurm"].start(run)
    return run


def until(condition: Callable[[], object], cluster: Cluster, timeout: float = 60) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{cluster.ask('squeue', '--all')}\n{cluster.logs()}"
        cluster.hurry()
        time.sleep(0.3)


def until_up(run: RunFolder, name: str, cluster: Cluster) -> None:
    """Wait until a job's command says that it is up."""
    log = small_runs.log_of(run, name)
    until(lambda: log.exists() and "up" in log.read_text(), cluster)


def until_ended(run: RunFolder, cluster: Cluster, timeout: float = 60) -> RunView:
    until(lambda: look(run, run.plan()).ended, cluster, timeout)
    return look(run, run.plan())


def matrix(group: str, code: str, needs: str = "") -> list[PlannedJob]:
    """Three instances of a job, each after the one of `needs` with its own value."""
    return [
        replace(
            small_runs.job(f"{group}-{value}", code.format(value), (f"{needs}-{value}",) if needs else ()), group=group
        )
        for value in "xyz"
    ]


def slurm_ids(cluster: Cluster, run: RunFolder) -> list[str]:
    lines = cluster.ask("squeue", "--noheader", "--format=%i %j").splitlines()
    return [line.split()[0] for line in lines if line.split()[1].startswith(f"{run.name}/")]


def test_a_chain_a_matrix_and_a_branch_that_fails(cluster: Cluster, tmp_path: Path) -> None:
    messages = tmp_path / "messages"
    ends = tuple(Event(kind) for kind in ("done", "failed", "invalid"))
    told = (Notification(ends, "command", {"words": ["tee", "--append", str(messages)]}),)
    run = started(
        tmp_path,
        replace(small_runs.job("first", "import os; print(os.environ['SLURM_JOB_ID'])"), notify=told),
        replace(small_runs.job("bad", "import sys; sys.exit('boom')", ("first",)), notify=told),
        replace(small_runs.job("wrong", "import sys; sys.exit(2)", retries=3), notify=told),
        small_runs.job("after_bad", "", ("bad",)),
        small_runs.job("after_after_bad", "", ("after_bad",)),
        *matrix("train", "import sys; sys.exit('{0}' == 'y')"),
        *matrix("eval", "", "train"),
        small_runs.job("compare", "", ("eval-x", "eval-y", "eval-z")),
        small_runs.job("last", "", ("first", "train-x")),
    )
    view = until_ended(run, cluster)
    expected = {
        "first": Status.DONE,
        "bad": Status.FAILED,
        "wrong": Status.INVALID,
        "after_bad": Status.BLOCKED,
        "after_after_bad": Status.BLOCKED,
        **{"train-x": Status.DONE, "train-y": Status.FAILED, "train-z": Status.DONE},
        **{"eval-x": Status.DONE, "eval-y": Status.BLOCKED, "eval-z": Status.DONE},
        "compare": Status.BLOCKED,
        "last": Status.DONE,
    }
    assert {job.name: job.status for job in view.jobs} == expected
    assert small_runs.view(run, "bad").reason == "boom"
    assert small_runs.view(run, "after_bad").reason == "needs bad, which is failed"
    assert small_runs.log_of(run, "first").read_text().strip().isdigit()
    assert run.state("wrong").attempt == 1
    until(lambda: not slurm_ids(cluster, run), cluster)  # nothing is pending for ever
    heard = [json.loads(line) for line in messages.read_text().replace("}{", "}\n{").splitlines()]
    assert sorted((body["job"], body["event"]) for body in heard) == [
        ("bad", "failed"),
        ("first", "done"),
        ("wrong", "invalid"),
    ]


def test_an_edit_reaches_no_job_that_waits_or_is_requeued(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = OwnModule(tmp_path / "my code", monkeypatch)
    code = f"import answer; print(answer.VALUE)\n{small_runs.SAVE}{small_runs.CHECKPOINT_AT_FIRST}"
    run = started(tmp_path / "runs", small_runs.job("a", code), small_runs.job("b", "import answer", ("a",)))
    until_up(run, "a", cluster)
    own.breaks()
    slurm_id = min(slurm_ids(cluster, run), key=int)
    cluster.ask("scancel", "--batch", "--signal=USR1", slurm_id)  # as before a time limit: it asks to be requeued
    until_ended(run, cluster, 180)
    assert small_runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE}
    assert run.state("a").attempt == 2
    assert small_runs.log_of(run, "a", 2).read_text().startswith("as submitted")
    assert small_runs.cli(run, "retry", run.name, "--code", "now").exit_code == 0
    assert small_runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE}


def test_code_of_ones_own_brings_tasks_a_model_and_a_dataset(cluster: Cluster, tmp_path: Path) -> None:
    """The examples of docs/extend; the file among them is broken as soon as it is submitted."""
    examples = shutil.copytree(ROOT / "examples", tmp_path / "my examples")
    subprocess.run([sys.executable, "make_sheets.py"], cwd=examples / "own_dataset", check=True)
    sheets = {"jobs.convert.config.dataset.folder": str(examples / "own_dataset" / "sheets")}
    asked: dict[str, dict[str, Any]] = {"own_file/nano": {}, "own_task/rotations": {}, "own_dataset/sheets": sheets}
    file, task, dataset = (
        launcher.submit(examples / f"{name}.yaml", settings, backend="slurm", runs=tmp_path / "runs")
        for name, settings in asked.items()
    )
    (examples / "own_file" / "nano.py").write_text(BROKEN)
    for run in (file, task, dataset):
        view = until_ended(RunFolder(run.path), cluster, SLOW)
        assert view.status == "done", [(job.name, job.reason) for job in view.jobs]
    assert (file.outputs("parameters") / "parameters.txt").read_text() == "1436074\n"
    assert "rotation" in json.loads((task.outputs("pretrain") / "metrics.json").read_text())["metrics"]
    assert json.loads((dataset.outputs("train") / "metrics.json").read_text())["dataset"] == "digits on sheets"


def test_the_digits_chain(cluster: Cluster, tmp_path: Path) -> None:
    """The pipeline of `make demo`, small, as a user submits it from a login node."""
    settings = [word for setting in SMALL_DIGITS for word in ("--set", setting)]
    shell = [sys.executable, "-m", "launcher", "submit", "pipelines/digits.yaml", "--backend", "slurm", *settings]
    submitted = subprocess.run([*shell, "--runs-dir", tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert submitted.returncode == 0, submitted.stderr
    (run,) = list_runs(tmp_path)
    waits = cluster.ask("squeue", "--noheader", "--format=%j %E").splitlines()
    (compare,) = [line for line in waits if line.startswith(f"{run.name}/compare ")]
    assert compare.count("afterok:") == 2
    view = until_ended(run, cluster, 480)
    assert view.status == "done", [(job.name, job.reason) for job in view.jobs]
    assert {run.state(job.name).attempt for job in view.jobs} == {1}
    ended = {job.name: job.state.ended or 0 for job in view.jobs}
    for job in view.jobs:
        assert all(ended[need] <= (job.state.started or 0) for need in job.job.needs)
    comparison = json.loads((run.job("compare").outputs / "comparison.json").read_text())
    assert [row["model"] for row in comparison["rows"]] == ["locatvit_tiny"]
    assert all({"top1", "miou"} <= row.keys() for row in comparison["rows"])


def test_retry_goes_on_from_what_is_done(cluster: Cluster, tmp_path: Path) -> None:
    run = started(
        tmp_path,
        small_runs.job("done"),
        small_runs.job("a", small_runs.FAIL_ONCE, ("done",)),
        small_runs.job("b", "", ("a",)),
    )
    view = until_ended(run, cluster)
    assert [job.status for job in view.jobs] == [Status.DONE, Status.FAILED, Status.BLOCKED]
    retried = small_runs.cli(run, "retry", run.name)
    assert "to be run again: a" in retried.output and "submitted to Slurm: a, b" in retried.output, retried
    until(lambda: set(small_runs.statuses(run).values()) == {Status.DONE}, cluster)
    assert [run.state(name).attempt for name in ("done", "a", "b")] == [1, 2, 1]


def test_a_failure_is_retried_and_counted(cluster: Cluster, tmp_path: Path) -> None:
    run = started(tmp_path, small_runs.job("a", small_runs.FAIL_ONCE, retries=1), small_runs.job("b", "", ("a",)))
    until_ended(run, cluster)
    assert small_runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE}
    assert (run.state("a").attempt, run.state("a").failures) == (2, 1)


def test_cancelled_by_any_shell(cluster: Cluster, tmp_path: Path) -> None:
    run = started(
        tmp_path,
        small_runs.job("a", small_runs.CHECKPOINT),
        small_runs.job("b", "", ("a",)),
        small_runs.job("c", small_runs.STUBBORN),
    )
    for name in "ac":
        until_up(run, name, cluster)
    cancelled = small_runs.cli(run, "cancel", run.name, "--grace", "3")
    assert "cancelled: a, b, c" in cancelled.output, cancelled
    assert run.state("a").exit_code == 75 and run.state("a").status is Status.CANCELLED
    assert not slurm_ids(cluster, run), "and it is not run again"
    assert look(run, run.plan()).status == "cancelled"


def test_what_a_user_ends_with_scancel_stays_ended(cluster: Cluster, tmp_path: Path) -> None:
    run = started(tmp_path, small_runs.job("a", small_runs.CHECKPOINT), small_runs.job("b", "", ("a",)))
    until_up(run, "a", cluster)
    cluster.ask("scancel", min(slurm_ids(cluster, run), key=int))
    until(lambda: not slurm_ids(cluster, run), cluster)
    view = look(run, run.plan())
    assert view.jobs[0].status is Status.LOST and "is CANCELLED" in view.jobs[0].reason
    assert view.status == "stopped"


def test_a_preempted_job_is_requeued_and_not_counted(cluster: Cluster, tmp_path: Path) -> None:
    jobs = [*matrix("a", small_runs.CHECKPOINT_AT_FIRST), small_runs.job("b", "", ("a-x", "a-y", "a-z"))]
    run = started(tmp_path, *jobs)
    for instance in "xyz":
        until_up(run, f"a-{instance}", cluster)
    second = next(job for job in slurm_ids(cluster, run) if job.endswith("_1"))
    cluster.ask("scancel", "--batch", "--signal=USR1", second)
    until(lambda: run.state("a-y").status is Status.PREEMPTED, cluster)
    until(lambda: run.state("a-y").attempt == 2 and run.state("a-y").status is Status.DONE, cluster)
    assert run.state("a-y").failures == 0
    assert [run.state(f"a-{x}").attempt for x in "xz"] == [1, 1], "of an array only that element"
    small_runs.cli(run, "cancel", run.name)


def test_two_nodes_train_as_one_and_go_on_when_one_dies(cluster: Cluster, tmp_path: Path) -> None:
    """torchrun finds the other node through srun; the losses are those of two ranks on one machine."""
    data = training.convert(tmp_path / "convert")
    config = training.supervised(data, epochs=30, checkpoints={"every_steps": 20})
    local = tmp_path / "local"
    training.write_config(local, config)
    training.run(local, ranks=2)
    job = replace(small_runs.job("train", nodes=2, retries=1), config=config, environment={"OMP_NUM_THREADS": "1"})
    where = tmp_path / "runs" / "test" / "jobs" / "train"
    run = started(tmp_path / "runs", replace(job, command=command(job.resources, where / "config.yaml")), name="test")
    assert run.job("train").path == where
    until(lambda: list(run.job("train").checkpoints.glob("step-*")), cluster, SLOW)
    assert run.state("train").status is Status.RUNNING, "it must die in the middle"
    cluster.kill("n2")
    # Its ranks' connections break before Slurm knows of it: a failure like any other, and counted.
    until(lambda: run.state("train").status is Status.FAILED, cluster, SLOW)
    cluster.start_node("n2")
    view = until_ended(run, cluster, SLOW)
    assert view.status == "done", small_runs.log_of(run, "train", 2).read_text()
    assert (run.state("train").attempt, run.state("train").failures) == (2, 1)
    assert (run.job("train").attempt(2) / "rank-1.log").exists()
    losses = training.metrics(where, LOSS)
    assert len(losses) == 120 and losses == training.metrics(local, LOSS)


def test_the_controller_may_restart_meanwhile(cluster: Cluster, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run = started(tmp_path / "runs", small_runs.job("a", small_runs.wait_for(go)), small_runs.job("b", "", ("a",)))
    until_up(run, "a", cluster)
    cluster.stop_controller()
    view = look(run, run.plan())
    assert view.jobs[0].status is Status.RUNNING and "as last recorded" in view.jobs[0].reason
    assert view.status == "running"
    go.touch()
    small_runs.until(lambda: run.state("a").status is Status.DONE)
    cluster.start_controller()
    cluster.until_ready()
    until_ended(run, cluster)
    assert small_runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE}


def test_a_node_that_dies_with_all_that_ran_on_it(cluster: Cluster, tmp_path: Path) -> None:
    on_n2 = {"slurm": {"sbatch": {"nodelist": "n2"}}}
    job = replace(small_runs.job("a", small_runs.SLEEP_AT_FIRST), options=on_n2)
    run = started(tmp_path, job, small_runs.job("b", "", ("a",)))
    until_up(run, "a", cluster)
    cluster.kill("n2")
    until(lambda: small_runs.view(run, "a").status is Status.PREEMPTED, cluster)
    assert "its node failed" in small_runs.view(run, "a").reason
    assert small_runs.view(run, "b").status is Status.PENDING
    cluster.start_node("n2")
    until_ended(run, cluster, SLOW)
    assert small_runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE}
    assert (run.state("a").attempt, run.state("a").failures) == (2, 0)


def test_a_job_out_of_time_checkpoints_and_goes_on(cluster: Cluster, out_of_time: RunFolder) -> None:
    until_ended(out_of_time, cluster, 180)
    state = out_of_time.state("a")
    assert (state.status, state.attempt, state.failures) == (Status.DONE, 2, 0)
