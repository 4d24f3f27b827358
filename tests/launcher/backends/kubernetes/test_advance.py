"""What `advance` decides, and how the pods of a job begin."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.attempt.command import STOPPED_MARK
from launcher.attempt.run import SCHEDULED_AS
from launcher.backends.kubernetes import names
from launcher.backends.kubernetes import pod as pod_runner
from launcher.backends.kubernetes.advance import advance
from launcher.backends.kubernetes.api_objects import JobSet
from launcher.backends.kubernetes.config_maps import CANCELLED, cancelled_in
from launcher.backends.kubernetes.pod import follow, prepared, run_pod
from launcher.plan import Event, Notification, Plan
from launcher.runs.state import JobState, Status
from locat.contract.job_folder import ExitCode
from locat.contract.source import Machine, Source
from support import small_runs
from support.kubernetes_objects import diamond, jobset
from support.sinks import webhook


class ApiOfJobSets:
    """What `advance` needs of a cluster, in memory."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.applied: list[str] = []
        self.there = {names.jobset(plan.run_id, job.name): jobset() for job in plan.jobs if not job.needs}

    def set_label(self, name: str, label: str, value: str) -> None:
        self.there[name].metadata.labels[label] = value

    def jobset(self, name: str) -> JobSet | None:
        return self.there.get(name)

    def apply(self, manifest: dict[str, Any]) -> None:
        self.applied.append(manifest["metadata"]["annotations"][names.JOB_ANNOTATION])
        self.there.setdefault(manifest["metadata"]["name"], jobset())


@given(st.permutations(["a", "b", "a", "b", "c"]))
def test_advance_begins_each_job_once_all_it_needs_is_done(order: list[str]) -> None:
    jobs = (
        small_runs.job("a"),
        small_runs.job("b"),
        small_runs.job("c", needs=("a", "b")),
        small_runs.job("d", needs=("a",)),
    )
    plan = Plan("r", "test", "", Path("/runs/r"), "", "test", jobs, "kubernetes")
    api = ApiOfJobSets(plan)
    done: set[str] = set()
    for name in order:
        if names.jobset("r", name) not in api.there:
            continue
        done.add(name)
        before = set(api.applied)
        advance(plan, name, api, ["plan"], cancelled=())  # type: ignore[arg-type]
        for new in set(api.applied) - before:
            assert done.issuperset(plan.job(new).needs)
    assert set(api.applied) == {"c", "d"}


def test_advance_leaves_out_what_was_cancelled_before_it_began(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    api = ApiOfJobSets(plan)
    (tmp_path / CANCELLED).write_text("c\nd")
    for name in ("a", "b"):
        assert advance(plan, name, api, ["plan"], cancelled_in(tmp_path)) == []  # type: ignore[arg-type]
    (tmp_path / CANCELLED).unlink()
    assert advance(plan, "b", api, ["plan"], cancelled_in(tmp_path)) == ["c"]  # type: ignore[arg-type]


def test_pods_of_another_plan_with_the_same_run_id_run_nothing(tmp_path: Path) -> None:
    plan = diamond(tmp_path)
    again = replace(plan, jobs=tuple(replace(job, image="registry.example/newer:2") for job in plan.jobs))
    assert prepared(plan.folder, again).plan() == plan
    other = replace(plan, jobs=(replace(plan.jobs[0], config={"task": "other"}), *plan.jobs[1:]))
    code, reason = run_pod(plan.folder, "a", other)
    assert code == ExitCode.INVALID
    assert reason == f"{plan.folder} is of another plan with the same run id; render this one with another --run-id"


def test_pods_whose_first_one_finds_no_place_are_started_again_and_that_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_runner, "PATIENCE", 0.0)
    plan = diamond(tmp_path)
    assert follow(prepared(plan.folder, plan), "a", "uid.0", "1")[0] == ExitCode.PREEMPTED


@pytest.mark.parametrize(("first_ended", "code"), [(Status.FAILED, 1), (Status.PREEMPTED, ExitCode.PREEMPTED)])
def test_pods_that_are_asked_to_stop_end_as_the_first_one_does(tmp_path: Path, first_ended: Status, code: int) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", "exit(75)"))
    job = run.job("a")
    job.attempt(1).mkdir(parents=True)
    (job.attempt(1) / SCHEDULED_AS).write_text("uid.0")
    (job.attempt(1) / STOPPED_MARK).touch()
    JobState(Status.RUNNING, 1).write(job.state)
    first = threading.Timer(1.0, JobState(first_ended, 1, reason="as the first one said").write, [job.state])
    first.start()
    assert follow(run, "a", "uid.0", "1")[0] == code
    first.join()


def test_pods_of_several_nodes_meet_at_a_port_that_the_first_one_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to nobody but this user, and anew for each attempt."""
    code = "import os; print(os.environ['LOCAT_MEETING'], os.environ['LOCAT_NODE'])"
    run = small_runs.make(tmp_path, small_runs.job("a", code, nodes=2))
    monkeypatch.setenv("LOCAT_FIRST_POD", "a-main-0-0.a")
    seen = []
    for number, start in enumerate(("uid.0", "uid.1"), 1):
        JobState(attempt=number - 1).write(run.job("a").state)
        folder = run.job("a").attempt(number)
        assert pod_runner.lead(run, "a", start)[0] == follow(run, "a", start, "1")[0] == ExitCode.DONE
        first, second = (folder / name for name in ("launch.log", "pod-1-launch.log"))
        place, node = first.read_text().split()
        assert (node, second.read_text().split()) == ("0", [place, "1"])
        assert place.startswith("a-main-0-0.a:")
        machine, source = Machine.read(run.job("a")), Source.read(run.path)
        assert machine is not None and source is not None
        assert (machine.image, machine.code) == (run.plan().job("a").image, source.digest)
        assert (folder / "meeting").stat().st_mode & 0o777 == 0o600
        seen.append(place)
    assert seen[0] != seen[1]


def test_a_pod_tells_how_its_job_ended_before_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = Notification((Event("failed"),), "webhook", {"secret": "HOOK", "form": "json"})
    job = replace(small_runs.job("a", "import sys; sys.exit('no luck')"), notify=(told,))
    run = small_runs.make(tmp_path, job, backend="kubernetes")
    with webhook() as posts:
        monkeypatch.setenv("HOOK", posts.url)
        assert pod_runner.lead(run, "a", "uid.0") == (1, "no luck")
        (body,) = posts.bodies
    assert body["next"] == ["launcher logs test a", "launcher retry test"], "the folder of a pod is nobody's else"
