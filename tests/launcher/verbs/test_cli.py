"""The command line: every verb, its errors and what it prints."""

import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from launcher.cli import VERBS, cli
from launcher.plan import Plan, PlannedJob
from launcher.runs.find import find
from launcher.runs.state import JobState, Status
from launcher.verbs.doctor import Check, _attention
from launcher.view import watch
from locat.contract.job_folder import ATTEMPT_VARIABLE
from locat.contract.submission import Submission
from support import small_runs

DIGITS = Path(__file__).parents[3] / "pipelines" / "digits.yaml"
HELLO = "print('hello', flush=True)"


def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "launcher", *arguments], capture_output=True, text=True, timeout=60)


def with_jobs(monkeypatch: pytest.MonkeyPatch, *jobs: PlannedJob) -> None:
    """Let `submit` compile any pipeline to these jobs."""

    def compile_to(pipeline: object, run_id: str, runs_folder: Path, tracking_uri: str, *_: object) -> Plan:
        return Plan(run_id, "test", "a test", runs_folder / run_id, f"sqlite:///{runs_folder}/mlflow.db", "test", jobs)

    monkeypatch.setattr("launcher.actions.plans.compile_pipeline", compile_to)


def submit(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["submit", str(DIGITS), "--runs-dir", str(tmp_path / "runs"), *arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("code", "exit_code", "status"), [(HELLO, 0, "done"), ("exit(1)", 1, "failed"), ("exit(2)", 2, "failed")]
)
def test_submit_and_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, exit_code: int, status: str
) -> None:
    with_jobs(monkeypatch, small_runs.job("a", code))
    code_, output = submit(tmp_path, "--wait", "--name", "mine", "--set", "defaults.seed=7")
    assert code_ == exit_code
    run = find(tmp_path / "runs", "mine-")
    assert f"submitted {run.name}" in output and f"{run.name}: {status}" in output
    assert run.pipeline.read_bytes() == DIGITS.read_bytes()
    asked = Submission.read(run.path)
    assert asked is not None and (asked.folder, asked.settings) == (str(DIGITS.parent), ("defaults.seed=7",))
    assert (run.job("a").config).read_text() == "task: test\n"


def test_submit_returns_at_once_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_jobs(monkeypatch, small_runs.job("a", "import time; time.sleep(1)"))
    assert submit(tmp_path)[0] == 0
    run = find(tmp_path / "runs", None)
    assert run.is_supervised()
    small_runs.until(lambda: small_runs.statuses(run) == {"a": Status.DONE})


def test_watch_without_a_terminal_prints_each_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_jobs(
        monkeypatch, small_runs.job("a", "import time; time.sleep(1)"), small_runs.job("b", "exit('boom')", ("a",))
    )
    code, output = submit(tmp_path, "--watch")
    assert code == 1
    for line in ("b: pending: waits for a", "a: running", "a: done", "b: failed 0:00: boom"):
        assert line in output
    assert re.search(r"logs\s--runs-dir\s.*\sshows\swhy", output, re.DOTALL)  # wherever a long path breaks the line


def test_watch_says_how_far_it_is_and_survives_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = {"phase": "train", "done": 120, "total": 750, "unit": "step", "rate": 3.0, "updated": time.time() + 9}
    code = f"import pathlib; pathlib.Path('jobs/a/progress.json').write_text({json.dumps(progress)!r})"
    run = small_runs.make(tmp_path, small_runs.job("a", code + "; import time; time.sleep(5)"))
    monkeypatch.setattr(watch, "PROGRESS_EVERY", 0.1)
    lines, live = io.StringIO(), io.StringIO()
    with small_runs.supervisor(run):
        small_runs.until(lambda: run.job("a").progress.exists())
        status = small_runs.cli(run, "status", "--json")
        assert json.loads(status.stdout)["jobs"][0]["progress"].items() >= progress.items()
        assert "120/750" in small_runs.cli(run, "status").stdout
        console = Console(file=live, force_terminal=True, width=120)
        views = watch.watch(run, run.plan(), console)
        watch.watch(run, run.plan(), Console(file=lines))
    assert views.status == "done"
    assert "train 120/750 step, 3/s, 3:30 left" in live.getvalue()
    assert lines.getvalue().startswith("a: done")

    with_jobs(monkeypatch, small_runs.job("a", "import time; time.sleep(1)"))
    monkeypatch.setattr(watch, "views", interrupt)
    exit_code, output = submit(tmp_path, "--watch")
    assert exit_code == 130 and "the run goes on" in output and "launcher cancel" in output


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_dry_run_and_render_create_nothing(tmp_path: Path) -> None:
    code, output = submit(tmp_path, "--dry-run")
    assert code == 0 and "pretrain-locatvit_tiny" in output
    rendered = ask("render", str(DIGITS), "--runs-dir", str(tmp_path / "runs"))
    plan = Plan.from_json(rendered.stdout)
    assert plan.to_json() == rendered.stdout and plan.folder.parent == tmp_path / "runs"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "no-such.yaml"], "no-such.yaml"),
        (["submit", str(DIGITS), "--set", "jobs.pretrain.config.epoch=1"], "did you mean 'epochs'?"),
        (["submit", str(DIGITS), "--name", "../x"], "--name"),
        (["submit", str(DIGITS), "--set", "jobs.pretrain.resources={gpus: 64}"], "wants 64 GPUs"),
        (["validate", str(DIGITS), "--set", "defaults.strategy=fspd"], "fsdp"),
        (["status"], "no runs in"),
        (["status", "nope"], "no runs in"),
        (["ui", "nope"], "no runs in"),
        (["stauts"], "No such command 'stauts'"),
    ],
)
def test_errors_are_one_message_and_nothing_is_created(tmp_path: Path, arguments: Sequence[str], message: str) -> None:
    environment_runs = tmp_path / "runs"
    extra = [] if arguments == ["stauts"] else ["--runs-dir", str(environment_runs)]
    answer = ask(*arguments, *extra)
    assert answer.returncode == 2 and message in answer.stderr, answer
    assert "Traceback" not in answer.stderr and answer.stdout == ""
    assert not environment_runs.exists()


def test_a_runs_folder_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    answer = ask("submit", str(DIGITS), "--runs-dir", str(tmp_path / "runs" / "below"))
    assert answer.returncode == 2 and "cannot create the run" in answer.stderr and "Traceback" not in answer.stderr


def test_runs_are_found_by_prefix_and_guessed_at(tmp_path: Path) -> None:
    first = small_runs.make(tmp_path, small_runs.job("train"), name="digits-1-aa")
    second = small_runs.make(tmp_path, small_runs.job("train"), name="digits-2-bb")
    assert find(tmp_path, None) == second
    assert find(tmp_path, "digits-1") == first
    for reference, message in (("digits", "is several runs"), ("digts-1-aa", "did you mean 'digits-1-aa'?")):
        answer = small_runs.cli(first, "status", reference)
        assert answer.exit_code == 2 and message in answer.stderr
    answer = small_runs.cli(first, "logs", "digits-1", "trian")
    assert answer.exit_code == 2 and "did you mean 'train'?" in answer.stderr
    listed = small_runs.cli(first, "list").stdout
    assert listed.index("digits-2-bb") < listed.index("digits-1-aa") and "stopped" in listed


def test_logs_of_the_rank_the_attempt_and_the_job_that_failed(tmp_path: Path) -> None:
    code = "import os; open(os.environ['LOCAT_ATTEMPT_DIR'] + '/rank-1.log', 'w').write('of rank 1'); exit('boom')"
    run = small_runs.make(tmp_path, small_runs.job("good", HELLO), small_runs.job("bad", code))
    assert "was not started yet" in small_runs.cli(run, "logs").stderr
    small_runs.supervise(run)
    assert small_runs.cli(run, "logs").stdout == "boom\n", "launch.log, where rank 0 has none"
    assert small_runs.cli(run, "logs", "test", "bad", "--rank", "1").stdout == "of rank 1"
    assert small_runs.cli(run, "logs", "test", "good", "--attempt", "1").stdout == "hello\n"
    missing = small_runs.cli(run, "logs", "test", "bad", "--rank", "3")
    assert missing.exit_code == 2
    assert "no log of rank 3 of attempt 1; there are: 1/launch.log, 1/rank-1.log" in missing.stderr


def test_a_log_that_is_followed_goes_over_to_rank_0(tmp_path: Path) -> None:
    code = (
        "import os, time; print('up', flush=True); time.sleep(1);"
        f"open(os.environ['{ATTEMPT_VARIABLE}'] + '/rank-0.log', 'w').write('of rank 0\\n'); time.sleep(1)"
    )
    run = small_runs.make(tmp_path, small_runs.job("a", code))
    attempt = small_runs.attempt(run, "a")
    small_runs.until_up(run, "a")
    assert small_runs.cli(run, "logs", "test", "a", "--follow").stdout == "up\nof rank 0\n"
    assert attempt.wait() == 0


def test_logs_are_followed_from_before_the_start_to_the_end(tmp_path: Path) -> None:
    code = "import time\nfor i in range(4): print('line', i, flush=True); time.sleep(0.2)"
    run = small_runs.make(
        tmp_path, small_runs.job("first", "import time; time.sleep(0.5)"), small_runs.job("a", code, ("first",))
    )
    with small_runs.supervisor(run):
        assert small_runs.cli(run, "logs", "test", "a", "--follow").stdout == "".join(f"line {i}\n" for i in range(4))


def test_the_closing_report_compares_models_and_names_figures(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, replace(small_runs.job("compare"), config={"task": "compare"}))
    rows = [{"model": "vit", "top1": 46.04, "miou": 24.1}, {"model": "locatvit [x]", "top1": 66.0, "miou": None}]
    run.job("compare").figures.mkdir(parents=True)
    (run.job("compare").figures / "attention.png").touch()
    table = run.job("compare").outputs / "comparison.json"
    table.write_text(json.dumps({"columns": ["model", "top1", "miou"], "rows": rows}))
    JobState(Status.DONE, 1, started=1000.0, ended=1075.0).write(run.job("compare").state)
    report = small_runs.cli(run, "status").stdout
    for part in ("test: done", "1:15", "46.0", "24.1", "locatvit [x]", "figures/attention.png", "launcher ui test"):
        assert part in report


def test_status_as_json(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", "exit('boom')"), small_runs.job("b", "", ("a",)))
    small_runs.supervise(run)
    status = json.loads(small_runs.cli(run, "status", "--json").stdout)
    assert (status["run"], status["status"], status["supervisor_alive"]) == ("test", "failed", False)
    first, second = status["jobs"]
    assert (first["name"], first["status"], first["exit_code"], first["reason"]) == ("a", "failed", 1, "boom")
    assert (second["status"], second["attempt"], second["progress"]) == ("blocked", 0, None)


def test_ui_of_a_server_prints_the_page_of_the_run(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    remote = replace(run.plan(), tracking_uri="https://mlflow.example/")
    (run.path / "plan.json").write_text(remote.to_json())
    assert small_runs.cli(run, "ui").stdout == "https://mlflow.example/\n"
    run.tracking.write_text(json.dumps({"uri": "https://mlflow.example/", "experiment_id": "3", "run_id": "ab"}))
    page = "https://mlflow.example/#/experiments/3/runs/ab?workflowType=machine_learning"
    assert small_runs.cli(run, "ui").stdout == f"{page}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["validate", str(DIGITS)]])
def test_quick_verbs_import_nothing_heavy(arguments: list[str]) -> None:
    heavy = {"torch", "mlflow", "numpy", "rich", "psutil"}
    code = (
        "import sys; from launcher.cli import cli; cli(sys.argv[1:], standalone_mode=False); "
        f"assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_every_verb_has_help() -> None:
    for verb in VERBS:
        assert CliRunner().invoke(cli, [verb, "--help"]).exit_code == 0


@pytest.mark.parametrize(("found", "good"), [("compiled, for AVX2", True), ("there is no C++ compiler", False)])
def test_doctor_says_what_attends_on_a_cpu_and_needs_no_more(
    monkeypatch: pytest.MonkeyPatch, found: str, good: bool
) -> None:
    monkeypatch.setattr("launcher.verbs.doctor._module", lambda name, code: Check(name, True, found, ""))
    check = _attention()
    assert (check.good, check.needed, check.found) == (good, False, found)
    assert "make install" in check.remedy


def test_doctor_names_what_is_missing_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("launcher.verbs.doctor._module", lambda name, code: Check(name, True, "importable", ""))
    answer = CliRunner().invoke(cli, ["doctor", "--runs-dir", str(tmp_path / "runs")])
    assert answer.exit_code == 1
    assert "MISSING C++ compiler: none" in answer.output and "apt install build-essential" in answer.output
    assert "note    GPUs" in answer.output or "ok      GPUs" in answer.output
    assert not (tmp_path / "runs").exists()
