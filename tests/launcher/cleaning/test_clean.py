"""`launcher clean`: what goes, what stays, and what is said of it."""

import json
import os
from pathlib import Path

import pytest

from launcher import locks
from launcher.runs.state import Status
from locat.contract.checkpoint_folder import PINNED, link
from locat.contract.source import Source
from support import kept_runs, small_runs
from support.kept_runs import make, save, steps


@pytest.mark.parametrize(("keep", "left"), [("best", [5]), ("last", [7]), ("none", [])])
def test_of_a_done_jobs_checkpoints_those_stay_that_are_asked_for(keep: str, left: list[int], tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(run.job("train").checkpoints, {3: 1.0, 5: 9.0, 7: 8.0})
    outputs = run.job("train").outputs
    outputs.mkdir()
    (outputs / ".model.0123abcd").write_text("whatever it is called")
    dry = small_runs.cli(run, "clean", "--keep", keep, "--dry-run")
    assert steps(run, "train") == [3, 5, 7] and dry.exit_code == 0
    assert not list(tmp_path.glob(".clean*")), "nothing is written"
    answer = small_runs.cli(run, "clean", "--keep", keep)
    assert steps(run, "train") == left and list(outputs.iterdir())
    assert os.listdir(run.job("train").checkpoints) == [f"step-{step:07d}" for step in left]
    *things, total = answer.stdout.splitlines()
    assert [line.split()[1] for line in things] == [
        f"old/jobs/train/checkpoints/step-{step:07d}" for step in (3, 5, 7) if step not in left
    ]
    assert sum(int(line.split()[0].replace(",", "")) for line in things) == int(total.split()[0].replace(",", ""))
    assert dry.stdout.splitlines() == [*things, total.replace("free", "would be free; --dry-run deletes nothing")]


def test_without_keep_a_jobs_config_says_what_stays_or_the_best_does(tmp_path: Path) -> None:
    jobs = {"a": None, "b": "last", "c": "none"}
    run = make(tmp_path, "old", *(kept_runs.job(name, after=after) for name, after in jobs.items()), done=tuple(jobs))
    for name in jobs:
        save(run.job(name).checkpoints, {5: 9.0, 7: 8.0})
    assert small_runs.cli(run, "clean").exit_code == 0
    assert [steps(run, name) for name in jobs] == [[5], [7], []]


def test_the_last_one_stays_where_none_was_evaluated(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(run.job("train").checkpoints, {5: float("nan"), 7: float("nan")})
    assert small_runs.cli(run, "clean", "--keep", "best").exit_code == 0
    assert steps(run, "train") == [7]


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.DONE])
def test_a_job_that_is_not_done_keeps_all(status: Status, tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"))
    if status is Status.CANCELLED:
        run.cancelled.touch()
    kept_runs.end(run, "train", status)
    save(run.job("train").checkpoints, {5: 9.0, 7: 8.0})
    answer = small_runs.cli(run, "clean", "--keep", "none")
    assert steps(run, "train") == [5, 7] and answer.exit_code == 0
    assert "kept: old/jobs/train/checkpoints: train is " in answer.stderr


def test_an_attempt_that_lives_is_left_alone(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"))
    kept_runs.end(run, "train", Status.FAILED)
    partial = run.job("train").checkpoints / ".step-0000009.attempt-1.partial"
    partial.mkdir(parents=True)
    lock = locks.acquire(run.job_lock("train"))
    assert lock is not None
    assert small_runs.cli(run, "clean").exit_code == 0 and partial.exists()
    os.close(lock)
    assert small_runs.cli(run, "clean").exit_code == 0 and not partial.exists()


def test_what_was_left_behind_goes(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), kept_runs.job("failed"), done=("train",))
    kept_runs.end(run, "failed", Status.FAILED)
    train, failed = run.job("train"), run.job("failed")
    save(train.checkpoints, {7: 8.0})
    save(train.path / PINNED, {1: 0.0})
    (train.checkpoints / "damaged-step-0000003").mkdir()
    gone = [train.path / PINNED, train.checkpoints / "damaged-step-0000003"]
    for job in (train, failed):
        for name in (".step-0000002.deleted", ".step-0000005.attempt-1.partial"):
            (job.checkpoints / name).mkdir(parents=True)
            gone.append(job.checkpoints / name)
        (job.path / ".state.json.0123abcd").write_text("half a st")
        kept_runs.age(job.path / ".state.json.0123abcd", 2)
        gone.append(job.path / ".state.json.0123abcd")
    young, later = failed.path / ".state.json.4567abcd", failed.checkpoints / ".step-0000005.attempt-2.partial"
    young.write_text("{")
    later.mkdir()
    half = tmp_path / ".new-0123"
    half.mkdir()
    kept_runs.age(half, 2)
    (tmp_path / ".new-4567").mkdir()
    assert small_runs.cli(run, "clean").exit_code == 0
    assert not any(path.exists() for path in [*gone, half])
    assert young.exists() and later.exists() and (tmp_path / ".new-4567").exists()
    assert steps(run, "train") == [7]


def test_what_a_hard_link_keeps_frees_nothing(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(run.job("train").checkpoints, {7: 8.0})
    new = make(tmp_path, "new", kept_runs.job("train"))
    link(run.job("train").checkpoints / "step-0000007", new.job("train").path / PINNED / "step-0000007")
    answer = small_runs.cli(run, "clean", "old", "--keep", "none", "--json")
    assert json.loads(answer.stdout)["bytes"] == 0
    assert (new.job("train").path / PINNED / "step-0000007/task.pt").read_text() == "task.pt of 7\n"


def test_older_spares_what_ended_lately(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("a"), kept_runs.job("b"))
    kept_runs.end(run, "a", ago=29 * kept_runs.DAYS)
    kept_runs.end(run, "b", ago=31 * kept_runs.DAYS)
    for name in "ab":
        save(run.job(name).checkpoints, {7: 8.0})
    assert small_runs.cli(run, "clean", "--keep", "none", "--older", "30d").exit_code == 0
    assert (steps(run, "a"), steps(run, "b")) == ([7], [])
    refused = small_runs.cli(run, "clean", "--older", "lately")
    assert refused.exit_code == 2 and "'lately' is no span of time (12h, 30d, 4w)" in refused.stderr


def test_a_named_run_is_cleaned_alone(tmp_path: Path) -> None:
    one, two = (make(tmp_path, name, kept_runs.job("train"), done=("train",)) for name in ("one", "two"))
    for run in (one, two):
        save(run.job("train").checkpoints, {7: 8.0})
    copy = kept_runs.copy_of_code(tmp_path, "a" * 64)
    assert small_runs.cli(one, "clean", "one", "--keep", "none").exit_code == 0
    assert (steps(one, "train"), steps(two, "train"), copy.exists()) == ([], [7], True)


def test_copies_of_code_that_no_run_names_go(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"))
    named, earlier, unnamed, young = (
        kept_runs.copy_of_code(tmp_path, letter * 64, days) for letter, days in (("a", 9), ("b", 9), ("c", 9), ("d", 0))
    )
    (run.path / "python-path").write_text(f"{named}:/elsewhere")
    before = Source("", str(earlier), 1, 1, 0.0, "submit", (), "3.11")
    Source("", str(named), 1, 1, 0.0, "retry --code now", (), "3.11").after(before).write(run.path)
    copying = tmp_path / ".code/.new-0123"
    copying.mkdir()
    answer = small_runs.cli(run, "clean")
    assert answer.exit_code == 0, answer.output
    assert [path.exists() for path in (named, earlier, unnamed, young, copying)] == [True, True, False, True, True]
    assert os.listdir(tmp_path / ".code") and f".code/{'c' * 64}" in answer.stdout
    (run.path / "source.json").write_text("{")
    kept_runs.copy_of_code(tmp_path, "c" * 64)
    answer = small_runs.cli(run, "clean")
    assert unnamed.exists() and "so all checkpoints and copies of code stay" in answer.stderr


def test_a_run_that_cannot_be_read_may_need_anything(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(run.job("train").checkpoints, {5: 9.0, 7: 8.0})
    newer = make(tmp_path, "newer", kept_runs.job("train"))
    (newer.path / "plan.json").write_text('{"format": 99}')
    answer = small_runs.cli(run, "clean")
    assert steps(run, "train") == [5, 7]
    assert "what newer needs is not known: " in answer.stderr
    assert "so all checkpoints and copies of code stay" in answer.stderr


def test_links_are_not_followed(tmp_path: Path) -> None:
    runs, elsewhere = tmp_path / "runs", tmp_path / "elsewhere"
    run = make(runs, "old", *(kept_runs.job(name) for name in "abc"), done=("a", "b", "c"))
    save(elsewhere, {5: 9.0, 7: 8.0})
    run.job("a").checkpoints.symlink_to(elsewhere)
    save(run.job("b").checkpoints, {7: 8.0})
    (run.job("b").checkpoints / "step-0000005").symlink_to(elsewhere / "step-0000005")
    other = make(tmp_path / "others", "other", kept_runs.job("train"), done=("train",))
    save(other.job("train").checkpoints, {7: 8.0})
    (runs / "other").symlink_to(other.path)
    answer = small_runs.cli(run, "clean", "--keep", "none")
    assert answer.exit_code == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["step-0000005", "step-0000007"]
    assert (elsewhere / "step-0000005/task.pt").exists() and steps(other, "train") == [7]
    assert "old/jobs/a/checkpoints: is a link, which is not followed" in answer.stderr
    assert f"clean it with --runs-dir {tmp_path / 'others'}" in answer.stderr


def test_a_copy_of_a_runs_folder_is_not_judged_by_the_original(tmp_path: Path) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(run.job("train").checkpoints, {7: 8.0})
    run.path.rename(tmp_path / "renamed")
    answer = small_runs.cli(run, "clean", "--keep", "none")
    assert "renamed is left alone: its folder is a copy of old, or was renamed" in answer.stderr
    assert (tmp_path / "renamed/jobs/train/checkpoints/step-0000007").exists()


def test_what_is_another_users_costs_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, foreign = (make(tmp_path, name, kept_runs.job("train"), done=("train",)) for name in ("mine", "foreign"))
    for run in (mine, foreign):
        save(run.job("train").checkpoints, {5: 9.0, 7: 8.0})
    monkeypatch.setattr("launcher.actions.clean.is_own", lambda run: run.name == "mine")
    answer = small_runs.cli(mine, "clean")
    assert (steps(mine, "train"), steps(foreign, "train"), answer.exit_code) == ([5], [5, 7], 0)
    assert "left alone, for they are another user's, who can clean them: foreign" in answer.stderr


def test_what_cannot_be_deleted_is_said_and_the_rest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(run.job("train").checkpoints, {3: 1.0, 5: 9.0, 7: 8.0})
    rmdir = os.rmdir

    def refused(path: str, **more: int) -> None:
        if "0000003" in str(path):
            raise PermissionError(1, "Operation not permitted", str(path))
        rmdir(path, **more)

    monkeypatch.setattr(os, "rmdir", refused)
    answer = small_runs.cli(run, "clean")
    assert answer.exit_code == 1 and "could not be deleted: " in answer.stderr
    assert "Operation not permitted" in answer.stderr and steps(run, "train") == [5]
    monkeypatch.undo()
    assert small_runs.cli(run, "clean").exit_code == 0
    assert os.listdir(run.job("train").checkpoints) == ["step-0000005"]


def test_a_cluster_that_does_not_answer_is_no_reason_to_delete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = kept_runs.job("done"), kept_runs.job("running")
    run = small_runs.make(tmp_path, *jobs, backend="slurm")
    kept_runs.end(run, "done")
    kept_runs.end(run, "running", Status.RUNNING)
    for each in jobs:
        save(run.job(each.name).checkpoints, {5: 9.0, 7: 8.0})
    monkeypatch.setenv("PATH", "/nowhere")
    answer = small_runs.cli(run, "clean", "--keep", "none")
    assert (steps(run, "done"), steps(run, "running"), answer.exit_code) == ([], [5, 7], 0)
    assert "running is running: as last recorded; " in answer.stderr


def test_two_look_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make(tmp_path, "old", kept_runs.job("train"), done=("train",))
    save(run.job("train").checkpoints, {5: 9.0, 7: 8.0})
    lock = locks.acquire(tmp_path / f".clean-{os.getuid()}.lock")
    assert lock is not None
    monkeypatch.setattr("launcher.cleaning.remove.PATIENCE", 0.0)
    refused = small_runs.cli(run, "clean")
    os.close(lock)
    assert refused.exit_code == 2 and "another `launcher clean` is at work; wait for its end" in refused.stderr
    assert steps(run, "train") == [5, 7]


def test_a_tasks_own_checkpoints_are_its_own(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("command"))
    kept_runs.end(run, "command")
    save(run.job("command").checkpoints, {5: 9.0, 7: 8.0})
    assert small_runs.cli(run, "clean", "--keep", "none").stdout.split() == ["0", "free"]
    assert steps(run, "command") == [5, 7]
