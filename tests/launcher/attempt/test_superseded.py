"""Two attempts of one job at once, where a file system does not share locks: the newer one's word counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from launcher.attempt.run import _saved, attempt
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from locat.contract.fence import NEWEST, Fence
from locat.contract.job_folder import ExitCode
from support import small_runs


def begin_elsewhere(run: RunFolder, number: int) -> JobState:
    """What a newer attempt on another machine writes when it begins."""
    run.job("a").attempt(number).mkdir()
    Fence(run.job("a").attempt(number)).claim()
    state = JobState(Status.RUNNING, number, 1, host="elsewhere", failures=1)
    state.write(run.job("a").state)
    return state


@pytest.mark.parametrize("code", ["", "raise SystemExit('boom')", "raise SystemExit(75)"])
def test_the_older_one_records_nothing_and_asks_for_no_other(tmp_path: Path, code: str) -> None:
    """However its command ends."""
    goes_on, asked = tmp_path / "goes-on", tmp_path / "asked"
    run = small_runs.make(tmp_path, small_runs.job("a", f"{small_runs.wait_for(goes_on)}\n{code}", retries=1))
    command = ("--rerun-with", f"touch {asked}")
    older = small_runs.attempt(run, "a", *command)
    small_runs.until_up(run, "a")
    state = begin_elsewhere(run, 2)
    goes_on.touch()
    assert older.wait(small_runs.TIMEOUT) == ExitCode.PREEMPTED
    assert run.state("a") == state and not asked.exists()


def test_it_says_why(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", "import sys; open(sys.argv[1], 'w').write('2')"))
    newest = run.job("a").attempts / NEWEST
    job = run.plan().job("a")
    plan = replace(run.plan(), jobs=(replace(job, command=(*job.command, str(newest))),))
    (run.path / "plan.json").write_text(plan.to_json())
    ending = attempt(run, "a")
    assert ending.superseded and ending.reason == "attempt 2 of this job has begun, so attempt 1 ends"
    assert capfd.readouterr().out == f"a: {ending.reason}\n"


def test_two_that_begin_at_once_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system may list a folder as it was before the other one began."""
    run = small_runs.make(tmp_path, small_runs.job("a"))
    run.job("a").attempt(1).mkdir(parents=True)
    monkeypatch.setattr("launcher.attempt.run.last_attempt", lambda job: 0)
    assert attempt(run, "a").exit_code == ExitCode.DONE
    assert run.state("a").attempt == 2 and (run.job("a").attempts / NEWEST).read_text() == "2"


def test_of_two_that_begin_at_once_the_last_to_claim_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    run = small_runs.make(tmp_path, small_runs.job("a", small_runs.count(ran)))
    theirs: list[JobState] = []
    claim = Fence.claim

    def claim_before_another(fence: Fence) -> None:
        claim(fence)
        if not theirs:
            theirs.append(JobState())
            theirs[:] = [begin_elsewhere(run, 2)]

    monkeypatch.setattr(Fence, "claim", claim_before_another)
    assert attempt(run, "a").superseded and not ran.exists()
    assert run.state("a") == theirs[0]


def test_what_an_attempt_left_unfinished_is_not_taken_for_something_saved(tmp_path: Path) -> None:
    """Its name is another one each time: a job that gets no further would be run again for ever."""
    run = small_runs.make(tmp_path, small_runs.job("a"))
    (run.job("a").checkpoints / "step-1").mkdir(parents=True)
    before = _saved(run.job("a"))
    (run.job("a").checkpoints / ".step-2.attempt-2.partial" / "strategy").mkdir(parents=True)
    assert _saved(run.job("a")) == before
