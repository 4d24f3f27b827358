"""What happens to runs is told, and that once: whoever is killed when, and however many tell."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher import interpreter, locks
from launcher.attempt import processes
from launcher.notify import __main__ as teller
from launcher.notify import notice, ways
from launcher.notify.message import Message
from launcher.notify.start import start
from launcher.notify.ways import UndeliveredError
from launcher.plan import Event, Notification, PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.release import release
from launcher.runs.state import JobState, Status
from launcher.runs.status import status_from_folder
from support import small_runs
from support.sinks import Posts, webhook

FAIL = "import sys; sys.exit('no luck')"
ENDS = tuple(Event(kind) for kind in ("done", "failed", "invalid"))
HOOK = Notification(ENDS, "webhook", {"secret": "HOOK", "form": "json"})


def make(folder: Path, *jobs: PlannedJob, of_run: tuple[Notification, ...] = ()) -> RunFolder:
    """A run whose end is told, and those of its jobs that have notifications."""
    run = small_runs.make(folder, *jobs)
    (run.path / "plan.json").write_text(replace(run.plan(), notify=of_run).to_json())
    return run


def told(job: PlannedJob) -> PlannedJob:
    return replace(job, notify=(HOOK,))


def ended(run: RunFolder, name: str, status: Status, attempt: int = 1, reason: str = "") -> None:
    JobState(status, attempt, exit_code=1, reason=reason, failures=int(status is Status.FAILED)).write(
        run.job(name).state
    )


def heard(posts: Posts) -> list[tuple[str | None, str]]:
    """Whose events were told, in no order."""
    return sorted((body["job"] or "", body["event"]) for body in posts.bodies)


def troubles(run: RunFolder) -> list[str]:
    return notice.troubles(run, status_from_folder(run, run.plan()))


def test_a_run_that_fails_is_told_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = told(small_runs.job("a")), told(small_runs.job("b", FAIL)), told(small_runs.job("c", needs=("b",)))
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, *jobs, of_run=(HOOK,))
        small_runs.supervise(run)
        small_runs.until(lambda: len(posts.bodies) == 3)
        teller.tell(run)
    assert heard(posts) == [("", "failed"), ("a", "done"), ("b", "failed")]
    by_job = {body["job"]: body for body in posts.bodies}
    assert by_job["b"]["reason"] == "no luck" and by_job["b"]["attempt"] == 1
    logs, retry = by_job["b"]["next"]
    assert logs.endswith(f"logs --runs-dir {tmp_path} test b") and retry.endswith(f"retry --runs-dir {tmp_path} test")
    assert by_job[None]["reason"] == "1 of 3 jobs done; b has failed: no luck"
    hidden = b"hidden-path"
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and hidden in file.read_bytes()]


def test_what_an_attempt_runner_that_was_killed_cannot_tell_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a", small_runs.SLEEP)))
        with small_runs.supervisor(run) as supervisor:
            small_runs.until_up(run, "a")
            runner = processes.runner(run.job("a"), run.state("a"))
            assert runner is not None
            processes.send([runner, *processes.of_job(run.job("a"))], signal.SIGKILL)
            supervisor.wait(small_runs.TIMEOUT)
        small_runs.until(lambda: posts.bodies)
    (body,) = posts.bodies
    assert (body["event"], body["job"]) == ("failed", "a") and "attempt runner died" in body["reason"]


def test_each_end_is_told_and_a_cancelled_run_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a")), small_runs.job("b"), of_run=(HOOK,))
        ended(run, "a", Status.INVALID, 1, "bad key")
        teller.tell(run)
        assert heard(posts) == [("a", "invalid")], "b is to run"
        ended(run, "b", Status.CANCELLED)
        teller.tell(run)
        teller.tell(run)
        assert heard(posts) == [("", "failed"), ("a", "invalid")]
        ended(run, "a", Status.INVALID, 2, "another bad key")  # after `retry`
        teller.tell(run)
        assert heard(posts) == [("", "failed"), ("", "failed"), ("a", "invalid"), ("a", "invalid")]
        ended(run, "a", Status.CANCELLED, 3)
        teller.tell(run)
        assert len(posts.bodies) == 4
        assert troubles(run) == []


def test_an_end_that_a_retry_comes_to_without_an_attempt_is_told_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a job that wants more GPUs than there are."""
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a")), of_run=(HOOK,))
        for moment in (1000.0, 1000.25):
            JobState(Status.INVALID, ended=moment, reason="wants 8 GPUs").write(run.job("a").state)
            teller.tell(run)
            teller.tell(run)
            assert release(run, status_from_folder(run, run.plan()), {"a"}) == ["a"]
    assert heard(posts) == [("", "failed"), ("", "failed"), ("a", "invalid"), ("a", "invalid")]


def test_several_that_tell_at_once_tell_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a")), of_run=(HOOK,))
        ended(run, "a", Status.FAILED)
        command = interpreter.module("launcher.notify", str(run.path))
        for process in [subprocess.Popen(command) for _ in range(3)]:
            assert process.wait() == 0
    assert heard(posts) == [("", "failed"), ("a", "failed")]


KILLED = """
import os, sys
from pathlib import Path
from launcher.notify import __main__ as teller
from launcher.notify.notice import Notice
from launcher.runs.folder import RunFolder
from launcher.runs.release import release
claim = Notice.claim
def killed(notice):
    {claims}
    os.kill(os.getpid(), 9)
Notice.claim = killed
teller.tell(RunFolder(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(("claims", "times"), [("pass", 1), ("claim(notice)", 0)])
def test_who_is_killed_before_the_claim_is_followed_by_another(
    claims: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it nobody knows whether the message has left: it is not sent again, and `status` says so."""
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a")))
        ended(run, "a", Status.FAILED)
        killed = subprocess.run([sys.executable, "-c", KILLED.format(claims=claims), str(run.path)])
        assert killed.returncode == -signal.SIGKILL and not posts.bodies
        teller.tell(run)
    assert len(posts.bodies) == times
    assert troubles(run) == [], "a message may be on its way"
    monkeypatch.setattr(notice, "PATIENCE", 0.0)
    missing = [f"a: failed was not told by webhook: {notice.KILLED}"]
    assert troubles(run) == ([] if times else missing)


def test_who_finds_the_server_away_says_nothing_of_a_message_that_another_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path, told(small_runs.job("a")))
    ended(run, "a", Status.FAILED)

    def away(message: Message, way: str, settings: object, claim: object) -> None:
        (theirs,) = notice.untold(run, status_from_folder(run, run.plan()))
        theirs.claim()
        theirs.end("")
        raise UndeliveredError("away")

    monkeypatch.setattr(teller, "deliver", away)
    teller.tell(run)
    assert troubles(run) == [] and capsys.readouterr().out == ""


def test_a_server_that_is_away_is_tried_at_the_next_occasion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(tmp_path, told(small_runs.job("a")))
    ended(run, "a", Status.FAILED)
    monkeypatch.setenv("HOOK", "http://127.0.0.1:1/hidden-path")
    teller.tell(run)
    assert capsys.readouterr().out == "test: a failed: not told by webhook: HOOK: Connection refused\n"
    said = small_runs.cli(run, "status").stdout
    assert (trouble := "a: failed was not told by webhook: HOOK: Connection refused") in said
    assert json.loads(small_runs.cli(run, "status", "--json").stdout)["not_told"] == [trouble]
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        teller.tell(run)
    assert heard(posts) == [("a", "failed")]
    assert troubles(run) == []


@pytest.mark.parametrize("manner", ["mute", "slow"])
def test_a_server_that_does_not_answer_holds_nobody_up(
    manner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teller, "DEADLINE", 0.5)
    monkeypatch.setattr(ways, "TIMEOUT", 3.0)
    run = make(tmp_path, told(small_runs.job("a")))
    ended(run, "a", Status.FAILED)
    began = time.monotonic()
    with webhook(manner) as posts:
        monkeypatch.setenv("HOOK", posts.url)
        teller.tell(run)
        assert time.monotonic() < began + 2
        teller.tell(run)
        assert len(posts.bodies) == 1
    assert troubles(run) == ["a: failed was not told by webhook: no answer within 0.5 s"]


def test_a_mute_server_delays_no_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook("mute") as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a", FAIL)))
        attempt = small_runs.attempt(run, "a")
        assert attempt.wait() == 1 and run.state("a").status is Status.FAILED
        assert not list(run.job("a").notify.glob("*.json")), "nobody has waited for an answer"
        small_runs.until(lambda: posts.bodies)


def test_where_a_scheduler_would_end_the_teller_it_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Slurm; not where the job is run again: it has not failed."""
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a", small_runs.FAIL_ONCE, retries=1)), of_run=(HOOK,))
        rerun = ("--rerun-with", f"touch {tmp_path / 'asked'}")
        assert small_runs.attempt(run, "a", *rerun).wait() == 1
        assert (tmp_path / "asked").exists() and not posts.bodies
        assert small_runs.attempt(run, "a", *rerun).wait() == 0
        assert heard(posts) == [("", "done"), ("a", "done")]


def test_a_reason_leaves_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cret-value-of-the-token")
    reason = "http://me:pw@host refuses s3cret-value-of-the-token \x1b[31m"
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a")))
        ended(run, "a", Status.FAILED, 1, reason)
        teller.tell(run)
    assert posts.bodies[0]["reason"] == "http://***@host refuses *** \\x1b[31m"


def test_the_last_numbers_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        run = make(tmp_path, told(small_runs.job("a")), told(small_runs.job("b")))
        records: list[dict[str, Any]] = [{"val/top1": 50.0, "train/loss": 2.0}, {"val/top1": 71.25}, {"train/loss": 1}]
        lines = [json.dumps({"step": step, "time": 0, "metrics": each}) for step, each in enumerate(records)]
        run.job("a").metrics.write_text("\n".join(lines) + "\n")
        run.job("b").metrics.write_text("no record\n")
        for name in ("a", "b"):
            ended(run, name, Status.DONE)
        teller.tell(run)
    assert {body["job"]: body["numbers"] for body in posts.bodies} == {
        "a": {"val/top1": 71.25, "train/loss": 1.0},
        "b": {},
    }


def test_nothing_is_started_where_there_is_nothing_to_tell(tmp_path: Path) -> None:
    run = make(tmp_path, told(small_runs.job("a")))
    assert start(run) is None
    lock = locks.acquire(run.job_lock("a"))
    assert lock is not None
    ended(run, "a", Status.FAILED)
    assert start(run) is None, "an attempt is alive"
    os.close(lock)


def test_a_run_that_cannot_be_read_ends_nobody(tmp_path: Path) -> None:
    run = make(tmp_path, told(small_runs.job("a")))
    ended(run, "a", Status.FAILED)
    file = run.path / "plan.json"
    file.write_text(file.read_text().replace('"failed"', "[]"))
    assert start(run) is None
    run.job("a").state.write_text("no state")
    assert start(run) is None
