"""What reaches an attempt of the shell that it was submitted from."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher import interpreter
from launcher.attempt import environment
from launcher.attempt.environment import of_attempt, of_submission, of_supervisor
from support import small_runs

CALM = {"PATH": "/usr/bin", "HOME": "/home/me", "USER": "me", "https_proxy": "http://proxy:3128"}
HOSTILE = {
    **{
        "RANK": "0",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "1",
        "NODE_RANK": "7",
    },
    **{"GROUP_RANK": "x", "ROLE_NAME": "trainer", "LOCAL_WORLD_SIZE": "8", "LOCAL_SIZE": "8", "CROSS_RANK": "1"},
    **{"PET_NNODES": "2", "PET_RDZV_ENDPOINT": "x:1", "PET_LOG_DIR": "/tmp/log", "PET_MAX_RESTARTS": "3"},
    **{"TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RUN_ID": "1", "TORCH_ELASTIC_WORKER_IDENTICAL": "1"},
    **{"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "0", "OMPI_COMM_WORLD_RANK": "3", "PMI_RANK": "1", "PMIX_RANK": "1"},
    **{"NCCL_COMM_ID": "10.0.0.1:1", "NCCL_HOSTID": "me", "LOCAT_ATTEMPT_DIR": "/tmp", "LOCAT_STORE": "/tmp/store"},
    **{"LOCAT_MEETING": "x:1", "LOCAT_NODE": "1", "LOCAT_PLUGINS": "/tmp", "DLTS_NUM_WORKER": "2"},
    **{"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_CPU_BIND": "mask_cpu:0x1", "SLURM_MEM_PER_CPU": "1"},
    **{"SBATCH_EXPORT": "NONE", "SQUEUE_PARTITION": "other", "SCANCEL_INTERACTIVE": "1", "SLURM_JOB_ID": "12"},
    **{"PYTHONINSPECT": "1", "PYTHONWARNINGS": "error", "PYTHONSTARTUP": "/tmp/x.py", "PYTHONOPTIMIZE": "2"},
    **{"PYTHONHOME": "/nowhere", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONUNBUFFERED": ""},
    "PYTHONSAFEPATH": "",
}


def attempt(inherited: dict[str, str]) -> dict[str, str]:
    return of_attempt(of_supervisor(inherited), {"OWN": "yes"}, Path("/runs/r/jobs/a/attempts/1"), 60, {})


@given(st.sets(st.sampled_from(sorted(HOSTILE))))
def test_no_left_over_variable_reaches_an_attempt_or_what_slurm_is_handed(names: set[str]) -> None:
    hostile = {**CALM, **{name: HOSTILE[name] for name in names}}
    assert attempt(hostile) == attempt(CALM)
    assert of_submission(hostile) == of_submission(CALM)


def test_the_users_own_variables_reach_an_attempt() -> None:
    kept = {"CUDA_VISIBLE_DEVICES": "1", "NCCL_SOCKET_IFNAME": "ib0", "HF_TOKEN": "x", "OMP_NUM_THREADS": "2"}
    assert {**CALM, **kept, "OWN": "yes"}.items() <= attempt({**CALM, **kept}).items()


def test_slurms_own_variables_reach_an_attempt_that_slurm_runs() -> None:
    slurm = {**CALM, "SLURM_JOB_ID": "12", "SLURM_JOB_NODELIST": "n[1-2]"}
    assert slurm.items() <= of_attempt(slurm, {}, Path("/a"), 60, {}).items()


def test_a_job_cannot_name_its_rank() -> None:
    assert "RANK" not in of_attempt(CALM, {"RANK": "1"}, Path("/a"), 60, {})


def test_how_slurm_is_reached_and_who_pays_are_the_users() -> None:
    own = {"SLURM_CONF": "/etc/slurm.conf", "SBATCH_ACCOUNT": "vision", "SBATCH_PARTITION": "gpu"}
    assert own.items() <= of_submission({**CALM, **own}).items()
    assert "SBATCH_PARTITION" not in of_submission({**CALM, **own}, decided={"SBATCH_PARTITION"})


@pytest.mark.parametrize(
    ("given", "kept"), [(":/a", "/a"), ("/a:", "/a"), (".:/a:lib:/b", "/a:/b"), ("", ""), ("::", "")]
)
def test_only_absolute_entries_of_pythonpath_are_kept(given: str, kept: str) -> None:
    assert interpreter.import_path(given) == kept
    assert attempt({**CALM, "PYTHONPATH": given})["PYTHONPATH"] == kept


def test_a_user_without_an_entry_in_passwd_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(environment.getpass, "getuser", unknown)
    nameless = {name: value for name, value in CALM.items() if name != "USER"}
    assert attempt(nameless)["LOGNAME"] == f"uid-{os.getuid()}"
    assert "LOGNAME" not in attempt(CALM)


def test_a_hostile_shell_changes_nothing_of_a_real_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way: verb, supervisor, attempt runner, command."""
    code = "import json, os; print(json.dumps({name: value for name, value in os.environ.items()}), flush=True)"
    seen = []
    for name, variables in {"calm": {}, "hostile": HOSTILE}.items():
        run = small_runs.make(tmp_path / name, small_runs.job("a", code))
        with monkeypatch.context() as patch:
            for variable, value in variables.items():
                patch.setenv(variable, value)
            assert small_runs.cli(run, "retry", run.name).exit_code == 0
        small_runs.until(lambda run=run: run.state("a").ended)
        found = json.loads(small_runs.log_of(run, "a").read_text())
        seen.append({name: value.replace(str(run.path.parent), "RUNS") for name, value in found.items()})
    for found in seen:
        found.pop("LAUNCHER_RUNS", None)
    assert seen[0] == seen[1]


PLANTED = ("random", "signal", "torch", "psutil", "yaml", "click", "mlflow", "locat", "json")


@pytest.mark.parametrize("path", [None, ":/nowhere", "."])
def test_nothing_is_imported_from_the_folder_where_a_verb_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    """The verb itself, its supervisor, the attempt runner and the job."""
    folder = tmp_path / "shared"
    folder.mkdir()
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\n")
    job = replace(small_runs.job("a"), command=("python", "-P", "-m", "locat", "models", "--help"))
    run = small_runs.make(tmp_path / "runs", job)
    root = str(Path(__file__).parents[3])
    monkeypatch.setenv("PYTHONPATH", root if path is None else f"{root}:{path}" if path != "." else f"{path}:{root}")
    start = f"import sys; sys.path.insert(0, {root!r}); from launcher.__main__ import main; main()"  # as a script's
    retry = [sys.executable, "-P", "-c", start, "retry", run.name, "--runs-dir", str(run.path.parent)]
    asked = subprocess.run(retry, cwd=folder, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    small_runs.until(lambda: run.state("a").ended)
    assert not (tmp_path / "imported").exists(), (tmp_path / "imported").read_text()
    assert run.state("a").exit_code == 0, small_runs.log_of(run, "a").read_text()
