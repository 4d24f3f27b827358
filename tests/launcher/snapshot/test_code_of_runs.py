"""What ran is what was submitted: jobs that wait, are requeued or retried, whatever is edited meanwhile."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher import interpreter, locks, machine
from launcher.backends.kubernetes import pod
from launcher.runs.find import list_runs
from launcher.runs.folder import PATH_FILE, RunFolder
from launcher.runs.state import Status
from launcher.snapshot import store
from launcher.snapshot.take import Code, of_image, take
from locat.contract.source import Machine, Source
from support import small_runs
from support.own_module import OwnModule

TINY = """
name: tiny
jobs:
  convert: {task: convert, config: {dataset: {name: digits, train_scenes: 16, val_scenes: 16}}}
"""
ASK = "import answer, launcher; print(answer.VALUE, launcher.__file__)\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OwnModule:
    return OwnModule(tmp_path / "my code", monkeypatch)


def submitted(folder: Path, *jobs: str) -> RunFolder:
    """A run as `submit` leaves it, its supervisor not started."""
    runs = folder / "my runs"
    planned = [small_runs.job(f"j{number}", code) for number, code in enumerate(jobs)]
    return small_runs.make(runs, *planned, code=take(runs, (), "submit"))


def retry(run: RunFolder, *words: str) -> str:
    asked = small_runs.cli(run, "retry", run.name, *words)
    assert asked.exit_code == 0, asked.output
    small_runs.until(lambda: not run.is_supervised())
    return asked.output


def said(run: RunFolder, attempt: int = 1) -> str:
    return small_runs.log_of(run, "j0", attempt).read_text()


def test_an_edit_reaches_no_job_that_waits_for_a_slot(tmp_path: Path, own: OwnModule, slots_of_this_test: Path) -> None:
    held = [locks.acquire(slots_of_this_test / f"core-{number}.lock") for number in range(machine.cores())]
    run = submitted(tmp_path, ASK)
    with small_runs.supervisor(run) as supervisor:
        small_runs.until(lambda: (slots_of_this_test / "cores-awaited").exists())
        own.breaks()
        for lock in held:
            assert lock is not None
            os.close(lock)
        assert supervisor.wait(small_runs.TIMEOUT) == 0
    assert small_runs.statuses(run) == {"j0": Status.DONE}, said(run)
    source = Source.read(run.path)
    assert source is not None
    assert said(run) == f"as submitted {source.folder}/launcher/__init__.py\n"
    assert Machine.read(run.job("j0")) == Machine(
        machine.host(), machine.cpu(), machine.gpu_models(), code=source.digest
    )


def test_an_edit_reaches_no_job_that_is_retried(tmp_path: Path, own: OwnModule) -> None:
    run = submitted(tmp_path, ASK + small_runs.FAIL_ONCE)
    small_runs.supervise(run)
    assert small_runs.statuses(run) == {"j0": Status.FAILED}
    own.breaks()
    retry(run)
    assert small_runs.statuses(run) == {"j0": Status.DONE}
    assert f"{said(run, 2)}boom\n" == said(run, 1)


def test_todays_code_is_taken_when_that_is_asked_for(tmp_path: Path, own: OwnModule) -> None:
    run = submitted(tmp_path, ASK + small_runs.FAIL_ONCE)
    small_runs.supervise(run)
    before = Source.read(run.path)
    own.breaks()
    told = retry(run, "--code", "now")
    now = Source.read(run.path)
    assert before is not None and now is not None
    assert f"today's code, {now.digest[:12]}, instead of {before.digest[:12]}" in told
    assert (now.taken_by, now.earlier) == ("retry --code now", (before,))
    assert small_runs.statuses(run) == {"j0": Status.FAILED}
    assert "edited after it was submitted" in said(run, 2)
    ran = json.loads((run.job("j0").attempt(1) / "machine.json").read_text())["code"]
    assert (ran, Machine.read(run.job("j0"))) == (before.digest, replace_code(run, now.digest))


def test_taking_todays_code_is_finished_after_a_kill(tmp_path: Path, own: OwnModule) -> None:
    run = submitted(tmp_path, ASK + small_runs.FAIL_ONCE)
    before, submitted_path = Source.read(run.path), (run.path / PATH_FILE).read_text()
    own.breaks()
    retry(run, "--code", "now")
    now_path = (run.path / PATH_FILE).read_text()
    (run.path / PATH_FILE).write_text(submitted_path)  # as it is between the record and this file
    assert "today's code" in retry(run, "--code", "now")
    assert (run.path / PATH_FILE).read_text() == now_path
    now = Source.read(run.path)
    assert now is not None and now.earlier == (before,)


def replace_code(run: RunFolder, digest: str) -> Machine:
    found = Machine.read(run.job("j0"))
    assert found is not None
    return replace(found, code=digest)


def test_code_that_nobody_edited_is_recorded_once(tmp_path: Path, own: OwnModule) -> None:
    run = submitted(tmp_path, ASK + small_runs.FAIL_ONCE)
    before = Source.read(run.path)
    assert "today's code" not in retry(run, "--code", "now")
    assert Source.read(run.path) == before


def test_two_runs_of_one_code_do_not_differ_by_their_patches(tmp_path: Path) -> None:
    """Each has the patch in its own folder."""
    source = take(tmp_path, (), "submit").source
    same = replace(source, origins=(replace(source.origins[0], patch="source-0.patch"),))
    for name, each in (("a", same), ("b", same), ("c", replace(same, digest="0" * 64))):
        run = small_runs.make(tmp_path, small_runs.job("j0"), name=name, code=Code(each, {"source-0.patch": b"patch"}))
    assert "patch of" not in small_runs.cli(run, "diff", "a", "b").output
    assert "patch of" in small_runs.cli(run, "diff", "a", "c").output


def test_jobs_that_run_in_the_verb_itself_run_what_it_has(tmp_path: Path, own: OwnModule) -> None:
    runs = tmp_path / "runs"
    run = small_runs.make(runs, small_runs.job("j0"), backend="debug", code=take(runs, (), "submit"))
    own.breaks()
    assert "today's code" in small_runs.cli(run, "retry", run.name).output
    now, ran = Source.read(run.path), Machine.read(run.job("j0"))
    assert now is not None and ran is not None
    assert len(now.earlier) == 1 and ran.code == now.digest


def test_a_run_that_is_done_keeps_its_record(tmp_path: Path, own: OwnModule) -> None:
    run = submitted(tmp_path, ASK)
    small_runs.supervise(run)
    before = Source.read(run.path)
    own.breaks()
    assert "nothing to retry" in retry(run, "--code", "now")
    assert Source.read(run.path) == before


def test_what_a_shell_has_set_since_bends_nothing(
    tmp_path: Path, own: OwnModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = submitted(tmp_path, ASK + small_runs.FAIL_ONCE)
    small_runs.supervise(run)
    planted = tmp_path / "planted"
    (planted / "launcher").mkdir(parents=True)
    for file in (planted / "answer.py", planted / "launcher" / "__init__.py"):
        file.write_text("raise RuntimeError('planted')\n")
    monkeypatch.setenv("PYTHONPATH", str(planted))
    retry(run)
    assert small_runs.statuses(run) == {"j0": Status.DONE}
    assert f"{said(run, 2)}boom\n" == said(run, 1)


def test_a_jobs_own_pythonpath_comes_after_the_runs_code(tmp_path: Path, own: OwnModule) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "answer.py").write_text("raise RuntimeError('of the job')\n")
    (more / "extra.py").write_text("")
    job = replace(small_runs.job("j0", ASK + "import extra"), environment={"PYTHONPATH": str(more)})
    run = small_runs.make(tmp_path / "runs", job, code=take(tmp_path / "runs", (), "submit"))
    small_runs.supervise(run)
    assert small_runs.statuses(run) == {"j0": Status.DONE}, said(run)


def test_code_that_is_gone_is_said(tmp_path: Path, own: OwnModule) -> None:
    run = submitted(tmp_path, ASK + small_runs.FAIL_ONCE)
    small_runs.supervise(run)
    folder = run.code_folder()
    assert folder is not None
    folder.rename(tmp_path / "elsewhere")
    asked = small_runs.cli(run, "retry", run.name)
    assert asked.exit_code == 2
    assert f"{folder}: the code that {run.name} was submitted with is gone" in asked.output
    assert small_runs.statuses(run) == {"j0": Status.FAILED}  # nothing was changed
    retry(run, "--code", "now")
    assert small_runs.statuses(run) == {"j0": Status.DONE}
    assert folder.is_dir()  # nothing was edited: it is the same code


def test_code_that_was_changed_in_its_copy_is_not_run(tmp_path: Path, own: OwnModule) -> None:
    """By somebody who follows a traceback."""
    run = submitted(tmp_path, ASK + small_runs.FAIL_ONCE)
    folder = run.code_folder()
    assert folder is not None
    (folder / "answer.py").unlink()
    (folder / "answer.py").write_text("VALUE = 'as edited'")
    asked = small_runs.cli(run, "retry", run.name)
    assert asked.exit_code == 2 and "is gone or was changed" in asked.output
    assert not run.job("j0").attempts.exists()


def test_a_run_of_an_older_version_is_given_todays_code(tmp_path: Path, own: OwnModule) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("j0", ASK))
    assert "run today's code" in retry(run)
    assert small_runs.statuses(run) == {"j0": Status.DONE}
    found = Source.read(run.path)
    assert found is not None and found.taken_by == "retry"


def test_an_image_has_its_own_code(tmp_path: Path, own: OwnModule) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("j0"))
    of_image().write(run.path)
    found = Source.read(run.path)
    assert found is not None and found.folder == "" and run.code() == {}
    assert found.digest == take(tmp_path / "runs", (), "submit").source.digest


def test_each_image_of_a_run_is_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs may name several; their pods record what they are, and come in any order."""
    run = small_runs.make(tmp_path / "runs", small_runs.job("j0"))
    image = of_image()
    other = Code(replace(image.source, digest="0" * 64), {})
    for each in (image, other, image, other):
        monkeypatch.setattr(pod, "of_image", lambda each=each: each)
        assert pod.record_code(run) == each.source.digest
    found = Source.read(run.path)
    assert found is not None
    assert (found.digest, [each.digest for each in found.earlier]) == (other.source.digest, [image.source.digest])


def test_what_is_recorded(tmp_path: Path, own: OwnModule, monkeypatch: pytest.MonkeyPatch) -> None:
    run = submitted(tmp_path, ASK)
    found = Source.read(run.path)
    assert found is not None
    project, beside = found.origins
    assert project.folder == str(interpreter.HOME) and project.modules == ("launcher", "locat")
    assert beside.folder == str(own.file.parent) and not beside.commit
    assert found.folder == str(run.path.parent / store.NAME / found.digest)
    assert found.installed["click"] and found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.path[0] == str(own.file.parent)
    assert len(found.lock) == 64
    for name in found.patches:
        assert (run.path / name).stat().st_size > 0


@pytest.mark.slow
def test_submit_takes_what_is_there_without_git_or_a_home(tmp_path: Path, own: OwnModule) -> None:
    """The verb itself, from a project whose path has spaces, until a real job has used what was compiled."""
    project = tmp_path / "my project"
    for name in ("launcher", "locat"):
        shutil.copytree(interpreter.HOME / name, project / name, ignore=shutil.ignore_patterns("*.pyc"))
    pipeline = tmp_path / "tiny.yaml"
    pipeline.write_text(TINY)
    hold = tmp_path / "slots"
    home = tmp_path / "home"
    home.write_text("not even root can write below this")
    path = Path(sys.executable).parent
    environment = {**os.environ, "PYTHONPATH": str(project), "PATH": str(path), "HOME": str(home)}
    environment |= {"LOCAT_SLOTS_DIR": str(hold), "LAUNCHER_RUNS": str(tmp_path / "my runs")}
    hold.mkdir()
    held = [locks.acquire(hold / f"core-{number}.lock") for number in range(machine.cores())]
    command = [sys.executable, "-P", "-m", "launcher", "submit", str(pipeline)]
    asked = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    (run,) = list_runs(tmp_path / "my runs")
    convert = project / "locat/tasks/convert.py"
    convert.write_text(f"raise RuntimeError('edited')\n{convert.read_text()}")
    for lock in held:
        assert lock is not None
        os.close(lock)
    small_runs.until(lambda: run.state("convert").ended, 300)
    assert small_runs.statuses(run) == {"convert": Status.DONE}
    found = Source.read(run.path)
    assert found is not None
    assert found.origins[0].folder == str(project) and "git cannot be run" in found.origins[0].note
    assert sorted(path.name for path in Path(found.folder).rglob("*.so")) == sorted(
        path.name for path in project.rglob("*.so")
    )
