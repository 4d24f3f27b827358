"""A program of the user's own as a job: how it is started, stopped and watched, and what of it is believed."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.plan import PlannedJob
from launcher.runs.state import Status
from locat.contract.errors import DataError, JobError
from locat.contract.job_folder import ATTEMPT_VARIABLE, JobFolder
from locat.tasks.command import task
from locat.tasks.command.numbers import Numbers
from support import small_runs
from support.documents import ROOT

FIT = ROOT / "examples/own_command/fit.py"


def written(folder: Path, *argv: str, **config: Any) -> JobFolder:
    """A job of a program, which runs by hand: without attempts and without MLflow."""
    folder.mkdir(exist_ok=True)
    values = {"task": "command", "argv": list(argv), "cwd": str(folder), **config}
    (folder / "config.yaml").write_text(json.dumps(values))
    return JobFolder(folder)


def by_hand(job: JobFolder, module: str = "locat", *options: str) -> "subprocess.CompletedProcess[str]":
    more = ("-m", "locat") if options else ()
    command = [sys.executable, "-P", "-m", module, *options, *more, str(job.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def own_code(tmp_path: Path, code: str, **config: Any) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "own.py").write_text(code)
    return by_hand(written(tmp_path, "python", "own.py", **config))


def test_a_program_finds_its_folders_and_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("NUMBERS = {'metrics': {'top 1': 3, 'loss': 0.5}, 'model': 'mine'}")
    code = """
import json, os, sys, beside
job = os.environ["LOCAT_JOB_DIR"]
os.makedirs(job + "/outputs/a")
open(job + "/outputs/a/m.bin", "w").write(str(sys.flags.safe_path))
json.dump(beside.NUMBERS, open(job + "/outputs/metrics.json", "w"))
open(job + "/checkpoints/step-1", "w").close()
"""
    config = {"outputs": {"model": "a/m.bin"}, "metrics": "metrics.json"}
    for _ in range(2):  # the second reads the results of the first where the program does not write anew
        ended = own_code(tmp_path, code if not (tmp_path / "outputs").exists() else "", **config)
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "outputs/a/m.bin").read_text() == "False"
    results = json.loads((tmp_path / "outputs/metrics.json").read_text())
    assert (results["task"], results["model"], results["metrics"]) == ("command", "mine", {"top 1": 3, "loss": 0.5})
    (logged,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert logged["metrics"] == results["metrics"]


@pytest.mark.parametrize(
    ("code", "exit_code", "said"),
    [
        ("", 1, "output 'model' is missing: the program ended with exit code 0 and has not written {outputs}/m.bin"),
        ("import os; os.symlink('/etc/hostname', OUT + '/m.bin')", 1, "is a link that leads out of the job's outputs"),
        ("open(OUT + '/m.bin', 'w')", 1, "`metrics` is missing: the program ended with exit code 0"),
        ("open(OUT + '/m.bin', 'w'); import os; os.mkfifo(OUT + '/n.json')", 1, "n.json is no file; `metrics` names"),
        ("open(OUT + '/m.bin', 'w'); open(OUT + '/n.json', 'w').write('{\"a\": NaN}')", 2, "expected a finite number"),
        ("raise SystemExit(3)", 3, "python ended with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", 137, "python was killed by SIGKILL, perhaps out of memory"),
        ("raise SystemExit(75)", 75, "python ended with exit code 75"),
    ],
)
def test_what_it_leaves_is_looked_at(tmp_path: Path, code: str, exit_code: int, said: str) -> None:
    code = f"import os; OUT = os.environ['LOCAT_JOB_DIR'] + '/outputs'\n{code}"
    ended = own_code(tmp_path, code, outputs={"model": "m.bin"}, metrics="n.json")
    assert ended.returncode == exit_code
    assert said.format(outputs=tmp_path / "outputs") in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "outputs/metrics.json").exists()


def test_what_cannot_be_run_is_told_in_one_sentence(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo")
    cases = [("no-such-program", 127, "was not found on this machine"), ("./no-such", 127, f"below {tmp_path}")]
    cases += [("./script", 126, "Permission denied; make it executable")]
    for program, exit_code, said in cases:
        ended = by_hand(written(tmp_path, program))
        assert (ended.returncode, len(ended.stderr.splitlines())) == (exit_code, 1)
        assert said in ended.stderr
    script.chmod(0o755)
    assert "needs a first line `#!INTERPRETER`" in by_hand(written(tmp_path, "./script")).stderr
    assert "is no folder here" in by_hand(written(tmp_path, "true", cwd=str(tmp_path / "gone"))).stderr


def test_a_program_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); sys.stdin.close()\n"
    ended = own_code(tmp_path, code + "import time; time.sleep(600)", silence_timeout=1.5)
    assert ended.returncode == 1
    assert "python hangs: for 1.5 s it printed nothing and progress.json stayed as it was" in ended.stderr
    assert not psutil.pid_exists(int(ended.stdout)) or psutil.Process(int(ended.stdout)).status() == "zombie"


def attempted(tmp_path: Path, *argv: str, **config: Any) -> PlannedJob:
    """The same as a job of a run."""
    job = small_runs.job("a")
    folder = tmp_path / "test/jobs/a"
    values = {"task": "command", "argv": list(argv), "cwd": str(tmp_path), **config}
    return replace(job, command=("python", "-m", "locat", str(folder / "config.yaml")), config=values)


def test_a_preempted_program_goes_on_where_it_was(tmp_path: Path) -> None:
    outputs = tmp_path / "test/jobs/a/outputs"
    argv = ("python", str(FIT), "--rate", "0.4", "--steps", "40", "--model", str(outputs / "model.json"), "--pause")
    config = {"outputs": {"model": "model.json"}, "metrics": "numbers.json"}
    run = small_runs.make(tmp_path, attempted(tmp_path, *argv, "0.5", **config))
    first = small_runs.attempt(run, "a")
    small_runs.until(lambda: run.job("a").progress.exists())
    first.send_signal(signal.SIGTERM)
    assert first.wait(small_runs.TIMEOUT) == 75
    state = run.state("a")
    assert (state.status, state.reason, state.failures) == (Status.PREEMPTED, "python ended with exit code 75", 0)
    (saved,) = run.job("a").checkpoints.iterdir()

    config_file = run.job("a").config
    config_file.write_text(config_file.read_text().replace("'0.5'", "'0'"))
    assert small_runs.attempt(run, "a").wait(small_runs.TIMEOUT) == 0
    log = (run.job("a").attempt(2) / "rank-0.log").read_text()
    assert log.startswith(f"begins at step {json.loads(saved.read_text())['step']}\n")
    assert json.loads((outputs / "model.json").read_text())["step"] == 40
    assert json.loads(run.job("a").results.read_text())["metrics"].keys() == {"near"}


def test_why_it_failed_is_its_last_line_without_credentials(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("print('first\\nno answer from https://me:secret@host/x'); raise SystemExit(3)")
    run = small_runs.make(tmp_path, attempted(tmp_path, "python", "own.py"))
    assert small_runs.attempt(run, "a").wait(small_runs.TIMEOUT) == 3
    state = run.state("a")
    assert state.reason == "python ended with exit code 3: no answer from https://***@host/x"
    assert (state.status, state.failures) == (Status.FAILED, 1)


def test_an_attempt_without_logs_fails_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path))
    assert str(task.failure("own", 3)) == "own ended with exit code 3"
    assert str(task.failure("own", -35)) == "own was killed by signal 35"


@pytest.mark.slow
def test_ranks_meet_as_under_torchrun(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("""
import os, torch, torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor(dist.get_rank() + 1)
dist.all_reduce(total)
if dist.get_rank() == 0:
    open(os.environ["LOCAT_JOB_DIR"] + "/outputs/total", "w").write(f"{total.item()} of {dist.get_world_size()}")
dist.destroy_process_group()
""")
    job = written(tmp_path, "python", "own.py", outputs={"total": "total"}, distributed=True)
    for ranks, total in ((2, "3 of 2"), (1, "1 of 1")):
        ended = by_hand(job, "locat.ranks", f"--processes={ranks}") if ranks > 1 else by_hand(job)
        assert ended.returncode == 0, ended.stderr
        assert (job.outputs / "total").read_text() == total


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "expected an object"),
        ("{}", "0 metrics; expected 1 to 1000"),
        ('{"metrics": {}}', "0 metrics; expected 1 to 1000"),
        ('{"a": true}', "'a' is true; expected a finite number"),
        ('{"a": "1"}', "expected a finite number"),
        ('{"a": -Infinity}', "expected a finite number"),
        ('{"a": 1' + "0" * 400 + "}", "expected a finite number"),
        ('{"a": 1' + "0" * 5000 + "}", "not JSON"),
        ('{"a\\nb": 1}', "'a\\\\nb' cannot be the name of a metric"),
        ('{"model": 1}', "'model' cannot be the name of a metric"),
        ('{"metrics": {"a": 1}, "model": 3}', "'model' is 3; expected text"),
        ('{"a": 1' + " " * (1 << 20) + "}", "more than 1 MiB"),
    ],
)
def test_numbers_that_are_none_are_refused(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "n.json"
    file.write_text(text)
    with pytest.raises(DataError) as error:
        Numbers.read(file, "job")
    assert str(error.value).startswith(f"{file}: ") and said in str(error.value)


def test_numbers_are_a_jobs_own_unless_they_say_whose(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    file.write_text('{"val/loss": 1, "metrics": 2.5}')
    assert Numbers.read(file, "job") == Numbers({"val/loss": 1.0, "metrics": 2.5}, "job", "(dataset unknown)")
    file.write_text('{"metrics": {"a": 1}, "model": "mine", "dataset": "theirs"}')
    assert Numbers.read(file, "job") == Numbers({"a": 1.0}, "mine", "theirs")


def test_an_outputs_folder_that_was_replaced_by_a_link_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x").touch()
    job = written(tmp_path / "job", "true")
    job.outputs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JobError, match="leads out of the job's outputs"):
        task.found(job, "x", "output 'x'")
