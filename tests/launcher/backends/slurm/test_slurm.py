"""What Slurm is handed and what its answers mean, without a Slurm: its commands are stand-ins that count."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher import locks
from launcher.backends import BACKENDS, look
from launcher.backends.errors import BackendError
from launcher.backends.slurm import requeue
from launcher.backends.slurm.batches import batches
from launcher.backends.slurm.queue import SlurmError
from launcher.backends.slurm.script import GRACE, WARNING
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load, validate
from launcher.plan import Plan, PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.runs.status import JobView
from locat.contract.yaml_source import parse
from support import small_runs

DIGITS = Path(__file__).parents[4] / "pipelines/digits.yaml"
GOLDEN = Path(__file__).parents[2] / "golden"
SLURM = BACKENDS["slurm"]
CLUSTER = """
name: cluster
defaults:
  resources: {gpus: 8, gpu_type: h100, cpus: 96, memory: 900G, time: 2d}
  options: {slurm: {partition: gpu, account: vision}}
jobs:
  convert:
    task: convert
    options: {slurm: {partition: cpu, sbatch: {exclusive: true, nice: 100}}}
  train:
    task: supervised
    needs: [convert]
    resources: {nodes: 2}
    options:
      slurm:
        qos: high
        constraint: ib&nvme
        container: {engine: ENGINE, image: /images/locat.sqsh, mounts: [/datasets]}
    config:
      model: {name: locatvit_base}
      data: {train: "${jobs.convert.outputs.train}", val: "${jobs.convert.outputs.val}"}
      epochs: 1
      batch_size: 1024
"""


def compiled(text: str) -> Plan:
    return compile_pipeline(validate(parse(text, "x.yaml")), "cluster-1", Path("/runs"), backend="slurm")


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rendered scripts name the interpreter that rendered them."""
    monkeypatch.setattr(sys, "executable", "/venv/bin/python")


@pytest.mark.usefixtures("python")
def test_the_demo_is_rendered_as_its_golden_scripts() -> None:
    """After a change that is meant: write what is rendered to the golden file, and read its diff."""
    plan = compile_pipeline(load(DIGITS), "digits-1", Path("/runs"), backend="slurm")
    assert SLURM.render(plan) == (GOLDEN / "digits.slurm.sh").read_text()


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize("engine", ["apptainer", "pyxis"])
def test_a_cluster_with_gpus_and_containers_is_rendered_as_its_golden_scripts(engine: str) -> None:
    plan = compiled(CLUSTER.replace("ENGINE", engine))
    assert SLURM.render(plan) == (GOLDEN / f"{engine}.slurm.sh").read_text()


def test_a_job_has_ended_before_slurm_ends_it() -> None:
    assert GRACE < WARNING


def waits(plan: Plan, *names: str, queued: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Key of each batch -> what it waits for."""
    chosen = names or tuple(job.name for job in plan.jobs)
    return {batch.key: (*batch.after, *batch.after_same) for batch in batches(plan, chosen, queued)}


def of(group: str, *values: str, needs: tuple[str, ...] = ()) -> list[PlannedJob]:
    """Instances of `group`; `{}` in `needs` stands for the instance's own value."""
    return [
        replace(small_runs.job(f"{group}-{value}", "", tuple(need.format(value) for need in needs)), group=group)
        for value in values
    ]


def plan_of(*jobs: PlannedJob) -> Plan:
    return Plan("r", "p", "", Path("/r"), "", "", jobs, "slurm")


def test_instances_that_wait_alike_are_an_array() -> None:
    plan = plan_of(
        small_runs.job("convert"),
        *of("train", "x", "y", needs=("convert",)),
        *of("eval", "x", "y", needs=("convert", "train-{}")),
        *of("other", "x", "z", needs=("train-x",)),
        *of("odd", "x", "y", needs=("other-x",)),
        small_runs.job("compare", "", ("eval-x", "eval-y", "train-y")),
    )
    assert waits(plan) == {
        "convert": (),
        "train:all": ("convert",),
        "eval:all": ("convert", "train:all"),
        "other-x": ("train:all[0]",),  # not all of an array
        "other-z": ("train:all[0]",),
        "odd-x": ("other-x",),
        "odd-y": ("other-x",),
        "compare": ("eval:all[0]", "eval:all[1]", "train:all[1]"),
    }


def test_of_a_part_only_what_is_not_done_is_waited_for() -> None:
    plan = plan_of(small_runs.job("a"), *of("b", "x", "y", needs=("a",)), small_runs.job("c", "", ("a", "b-x", "b-y")))
    assert waits(plan, "b-x", "c", queued=("b-y",)) == {"b-x": (), "c": ("b-x", "b-y")}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for Slurm's commands: each notes its call in `calls` and prints what `<name>.out` holds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("squeue", "sbatch", "scancel"):
        stand_in(folder, name, f"cat {folder}/{name}.out 2>/dev/null || true")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def stand_in(folder: Path, name: str, code: str) -> None:
    (folder / name).write_text(f'#!/bin/bash\necho {name} "$@" >> {folder}/calls\n{code}\n')
    (folder / name).chmod(0o755)


def calls(commands: Path) -> list[str]:
    return (commands / "calls").read_text().splitlines() if (commands / "calls").exists() else []


@pytest.mark.parametrize("said", [{}, {"partition": "gpu"}])
def test_a_submission_inside_of_srun_hands_on_nothing_of_that_job(
    commands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str]
) -> None:
    """sbatch's options come from the pipeline; the site's defaults hold where it says nothing."""
    stand_in(commands, "sbatch", f"env > {commands}/env; echo 7")
    for name, value in {
        **{"SLURM_JOB_ID": "3", "SLURM_CPU_BIND": "mask_cpu:0x1", "SLURM_MEM_PER_CPU": "1", "SLURM_PROCID": "1"},
        **{"SBATCH_TIMELIMIT": "1", "SBATCH_EXPORT": "NONE", "SQUEUE_PARTITION": "x", "RANK": "0", "PET_NNODES": "2"},
        **{"SBATCH_ACCOUNT": "vision", "SBATCH_PARTITION": "cpu", "SLURM_CONF": "/etc/slurm.conf"},
    }.items():
        monkeypatch.setenv(name, value)
    job = replace(small_runs.job("a"), options={"slurm": said})
    SLURM.start(small_runs.make(tmp_path / "runs", job, backend="slurm"))
    handed = dict(line.split("=", 1) for line in (commands / "env").read_text().splitlines() if "=" in line)
    left = {name: handed[name] for name in handed if name.startswith(("SLURM", "SBATCH", "SQUEUE", "RANK", "PET_"))}
    own = {"SBATCH_ACCOUNT": "vision", "SBATCH_PARTITION": "cpu", "SLURM_CONF": "/etc/slurm.conf"}
    assert left == {name: value for name, value in own.items() if not (said and name == "SBATCH_PARTITION")}


def test_a_refresh_is_one_question_for_a_thousand_jobs(commands: Path, tmp_path: Path) -> None:
    jobs = of("train", *map(str, range(1000)))
    run = small_runs.make(tmp_path / "runs", *jobs, backend="slurm")
    states = ["RUNNING", "PENDING", "COMPLETED", "OUT_OF_MEMORY"]
    lines = [f"7_{index}|{states[index % 4]}|Priority|n1|test/train" for index in range(1000)]
    (commands / "squeue.out").write_text("\n".join(["8|RUNNING|None|n2|another/train-3", *lines]) + "\n")
    for index in range(0, 1000, 4):
        JobState(Status.RUNNING, 1).write(run.job(f"train-{index}").state)
        JobState(Status.DONE, 1).write(run.job(f"train-{index + 2}").state)
        JobState(Status.RUNNING, 1).write(run.job(f"train-{index + 3}").state)
    view = look(run, run.plan())
    assert len(calls(commands)) == 1
    by_status = [len(view.having([status])) for status in (Status.RUNNING, Status.QUEUED, Status.DONE, Status.FAILED)]
    assert by_status == [250] * 4
    assert view.jobs[3].reason == "Slurm job 7_3 is OUT_OF_MEMORY"
    assert view.jobs[1].reason == "Slurm job 7_1, waits for Priority"


def test_a_list_of_runs_is_one_question_too(commands: Path, tmp_path: Path) -> None:
    made = [
        small_runs.make(tmp_path / "runs", small_runs.job("a"), name=f"r{index}", backend="slurm")
        for index in range(20)
    ]
    (commands / "squeue.out").write_text("7|RUNNING|None|n1|r3/a\n")
    listed = small_runs.cli(made[0], "list").stdout
    assert len(calls(commands)) == 1
    assert [line.split()[0] for line in listed.splitlines() if " running " in line] == ["r3"]
    stand_in(commands, "squeue", "exit 1")
    assert small_runs.cli(made[0], "list").exit_code == 0
    assert len(calls(commands)) == 2, "nor is a Slurm that does not answer asked again"


def test_a_run_that_is_done_asks_nobody(commands: Path, tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"), backend="slurm")
    JobState(Status.DONE, 1).write(run.job("a").state)
    assert look(run, run.plan()).status == "done" and calls(commands) == []


def seen(commands: Path, run: RunFolder, line: str) -> JobView:
    (commands / "squeue.out").write_text(line)
    return look(run, run.plan()).jobs[0]


@pytest.mark.parametrize(
    ("state", "line", "status", "reason"),
    [
        (JobState(), "", Status.LOST, "not in Slurm's queue"),
        (JobState(), "5|CANCELLED|None||test/a", Status.LOST, "Slurm job 5 is CANCELLED"),
        (JobState(), "5|PENDING|Resources||test/a", Status.QUEUED, "Slurm job 5, waits for Resources"),
        (JobState(), "5|PENDING|DependencyNeverSatisfied||test/a", Status.LOST, "Slurm job 5 is PENDING"),
        (JobState(), "5|RUNNING|None|n1|test/a", Status.RUNNING, "Slurm job 5 on n1"),
        (JobState(), "5|FAILED|None||test/a\n9|PENDING|None||test/a", Status.QUEUED, "Slurm job 9"),
        (JobState(Status.RUNNING, 1), "5|TIMEOUT|None||test/a", Status.FAILED, "Slurm job 5 is TIMEOUT"),
        (JobState(Status.RUNNING, 1), "", Status.FAILED, "Slurm does not know it any more, and no end was recorded"),
        (JobState(Status.RUNNING, 1), "5|PENDING|BeginTime||test/a", Status.PREEMPTED, "its node failed"),
        (JobState(Status.FAILED, 1, failures=1, reason="boom"), "", Status.FAILED, "boom"),
        (JobState(Status.INVALID, 1, reason="bad"), "", Status.INVALID, "bad"),
        (JobState(Status.PREEMPTED, 1), "", Status.LOST, "not in Slurm's queue"),
    ],
)
def test_folder_and_queue_together_tell_the_truth(
    commands: Path, tmp_path: Path, state: JobState, line: str, status: Status, reason: str
) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"), backend="slurm")
    state.write(run.job("a").state)
    job = seen(commands, run, line)
    assert (job.status, job.reason.split(";")[0]) == (status, reason)


def test_what_was_ended_from_outside_has_failed_whatever_its_retries(commands: Path, tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a", retries=3), backend="slurm")
    JobState(Status.RUNNING, 1).write(run.job("a").state)
    job = seen(commands, run, "5|TIMEOUT|None||test/a")
    assert (job.status, job.state.failures) == (Status.FAILED, 1)


def test_a_cancelled_job_that_slurm_has_forgotten_is_cancelled(commands: Path, tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"), backend="slurm")
    JobState(Status.RUNNING, 1).write(run.job("a").state)
    run.cancelled.touch()
    assert seen(commands, run, "").status is Status.CANCELLED


def test_without_an_answer_what_was_recorded_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"), small_runs.job("b", "", ("a",)), backend="slurm")
    JobState(Status.RUNNING, 1).write(run.job("a").state)
    first, second = look(run, run.plan()).jobs
    assert (first.status, second.status) == (Status.RUNNING, Status.PENDING)
    assert first.reason == "as last recorded; no squeue on this machine; use a login node of the cluster"
    with pytest.raises(BackendError, match="job a cannot run on this cluster: no sbatch"):
        SLURM.check(run.plan())
    with pytest.raises(SlurmError, match="no squeue"):
        SLURM.start(run)


def test_what_is_submitted_is_what_is_rendered(commands: Path, tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"), *of("b", "x", "y", needs=("a",)), backend="slurm")
    stand_in(commands, "sbatch", f"cat >> {commands}/scripts; echo '12;cluster'")
    SLURM.start(run)
    assert calls(commands)[1:] == [
        "sbatch --parsable",
        "sbatch --parsable --dependency=afterok:12 --kill-on-invalid-dep=yes",
    ]
    rendered = SLURM.render(run.plan())
    for script in (commands / "scripts").read_text().split("#!/bin/bash\n")[1:]:
        assert script in rendered
    assert (run.path / "slurm").is_dir()


def test_only_what_slurm_does_not_have_is_submitted_again(commands: Path, tmp_path: Path) -> None:
    jobs = [
        small_runs.job("a"),
        small_runs.job("b", "", ("a",)),
        small_runs.job("c", "", ("b",)),
        small_runs.job("d", "", ("c",)),
    ]
    run = small_runs.make(tmp_path / "runs", *jobs, backend="slurm")
    JobState(Status.DONE, 1).write(run.job("a").state)
    (commands / "squeue.out").write_text("4|PENDING|Priority||test/b\n5|PENDING|DependencyNeverSatisfied||test/d\n")
    (commands / "sbatch.out").write_text("9\n")
    SLURM.start(run)
    assert calls(commands)[1:] == [
        "scancel --quiet 5",
        "sbatch --parsable --dependency=afterok:4 --kill-on-invalid-dep=yes",
        "sbatch --parsable --dependency=afterok:9 --kill-on-invalid-dep=yes",
    ]


def test_a_run_that_is_being_submitted_is_not_submitted_once_more(commands: Path, tmp_path: Path) -> None:
    run = small_runs.make(tmp_path / "runs", small_runs.job("a"), backend="slurm")
    entered, go_on = commands / "entered", commands / "go-on"
    stand_in(commands, "sbatch", f"touch {entered}; while ! test -e {go_on}; do sleep 0.1; done; echo 12")
    first = subprocess.Popen([sys.executable, "-m", "launcher", "retry", "--runs-dir", str(run.path.parent)])
    small_runs.until(entered.exists)
    for _ in range(2):
        with pytest.raises(SlurmError, match="is being submitted"):
            SLURM.start(run)
        first.kill()  # its shell goes on, and submits the rest
        first.wait()
    go_on.touch()
    small_runs.until(lambda: not locks.is_held(run.path / "submit.lock"))
    assert len([call for call in calls(commands) if call.startswith("sbatch")]) == 1


def test_options_are_merged_and_recorded() -> None:
    plan = compiled(CLUSTER.replace("ENGINE", "pyxis"))
    assert plan.job("convert").options["slurm"]["account"] == "vision"
    assert plan.job("convert").options["slurm"]["partition"] == "cpu"
    assert plan.job("train").options["slurm"]["partition"] == "gpu"
    assert Plan.from_json(json.dumps(json.loads(plan.to_json()))) == plan


@pytest.mark.parametrize(("state", "requeued"), [("RUNNING", True), ("COMPLETING", False), ("", False)])
def test_only_a_job_that_slurm_is_not_ending_is_requeued(commands: Path, state: str, requeued: bool) -> None:
    stand_in(commands, "scontrol", "")
    (commands / "squeue.out").write_text(f"{state}\n")
    subprocess.run([sys.executable, "-m", "launcher.backends.slurm.requeue", "7_1"], check=True)
    assert calls(commands)[0] == "squeue --noheader --jobs=7_1 --format=%T"
    assert calls(commands)[1:] == (["scontrol requeue 7_1"] if requeued else [])


def test_a_controller_that_is_away_is_asked_again(commands: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = commands / "away"
    stand_in(commands, "squeue", f"rm {away} 2>/dev/null && exit 1 || echo RUNNING")
    stand_in(commands, "scontrol", "")
    away.touch()
    monkeypatch.setattr("launcher.backends.slurm.requeue.PAUSE", 0.01)
    monkeypatch.setattr(sys, "argv", ["requeue", "7"])
    requeue.main()
    assert [call.split()[0] for call in calls(commands)] == ["squeue", "squeue", "scontrol"]
