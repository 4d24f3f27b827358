"""What users and their scripts rely on, as literal sets: a change of it is a change of this file, to be seen in review.

YAML keys are in pipelines/schema.json, which a test of its own keeps current. RELEASE.md says what may change when.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from launcher import locks
from launcher.backends import look
from launcher.cli import VERBS, Mistake, cli
from launcher.runs.state import JobState, Status
from locat.contract import plugins
from locat.contract.job_folder import ExitCode
from locat.report.render import CSV_COLUMNS
from support import kept_runs, small_runs

RUNS = "--runs-dir DIRECTORY = runs ($LAUNCHER_RUNS)"
BACKEND = "--backend [local|debug|slurm|kubernetes] = local ($LAUNCHER_BACKEND)"
SET = "--set KEY=VALUE, repeatable"
SURFACE = {
    "init": {"[FILE] = pipeline.yaml", "--images FOLDER", "--masks FOLDER", "--example NAME"},
    "submit": {"FILE...", "--watch", "--wait", SET, "--name NAME", "--from RUN/JOB", "--dry-run", BACKEND, RUNS},
    "validate": {"FILE...", SET, "--no-plugins", RUNS},
    "render": {"FILE...", SET, "-o, --output DIRECTORY", "--run-id NAME", BACKEND, RUNS},
    "list": {BACKEND, RUNS},
    "status": {"[RUN]", "--watch", "--json", RUNS},
    "top": {"--watch", "--json", BACKEND, RUNS},
    "logs": {
        *("[RUN]", "[JOB]", "--rank INTEGER RANGE", "--attempt INTEGER RANGE", "-f, --follow", "--grep PATTERN"),
        *("--all-attempts", RUNS),
    },
    "cancel": {"[RUN]", "[JOB]", "--grace SECONDS = 60", RUNS},
    "retry": {"[RUN]", "[JOB]", "--force", "--code [submitted|now] = submitted", RUNS},
    "sync": {"[RUN]", RUNS},
    "compare": {
        *("[RUN]...", "--metric NAME[@WHEN], repeatable", "--over-seeds", "--where EXPR, repeatable", "--sort KEY"),
        *("--json", "--csv", RUNS),
    },
    "diff": {"A", "B", "--json", RUNS},
    "report": {"[RUN]...", "--output FOLDER", "--tracking-uri URI", RUNS},
    "push": {"RUN/JOB", "hf:OWNER/NAME", "--licence, --license ID", "--private", "--dry-run", RUNS},
    "usage": {"[RUN]...", "--since WHEN", "--by [user|pipeline|model|task]", "--price N", "--json", RUNS},
    "clean": {"[RUN]...", "--older SPAN", "--keep [best|last|none]", "--dry-run", "--json", RUNS},
    "ui": {"[RUN]", "--port INTEGER RANGE", RUNS},
    "doctor": {BACKEND, RUNS},
}

JOB_EXIT_CODES = {"DONE": 0, "INVALID": 2, "PREEMPTED": 75}
SUBMIT_EXIT_CODES = {"done": 0, "failed": 1, "invalid": 2}
"""Of `submit --wait` and `--watch`, by how a job of the run ended."""
MISTAKE = 2
"""Exit code of every verb where the user is wrong."""

STATUS_WORDS = {
    *("pending", "queued", "running", "done", "failed"),
    *("invalid", "preempted", "lost", "blocked", "cancelled"),
}
STATUS = {"run", "folder", "status", "supervisor_alive", "jobs", "not_told"}
"""Keys of `status --json`; those of each of its `jobs`, of a running one's `progress` and `signs`, and of a curve:"""
STATUS_JOB = {
    *("name", "status", "reason", "attempt", "exit_code", "failures", "hasty"),
    *("started", "ended", "pid", "host", "machine", "boot", "progress", "signs", "tracking", "branched_from"),
}
STATUS_PROGRESS = {"phase", "done", "total", "unit", "rate", "updated", "gpu_memory", "gpu_memory_total"}
STATUS_SIGNS = {"loss", "evaluated", "images_per_second", "data_wait"}
STATUS_CURVE = {"metric", "step", "value", "course"}

COMPARE = {"columns", "rows"}
"""Keys of `compare --json`; `columns` begin with these:"""
COMPARE_COLUMNS = ["run", "job", "status"]
DIFF = {"a", "b", "only_a", "only_b", "code", "config", "environment", "data", "image", "losses"}
"""Keys of `diff --json`; those of each of its two sides, of a difference, and of where losses part:"""
DIFF_SIDE = {"run", "job", "folder"}
DIFF_ENTRY = {"key", "a", "b", "jobs"}
DIFF_LOSSES = {"job", "equal", "step", "metric", "a", "b"}

USAGE_ROW = {
    *("run", "job", "user", "pipeline", "model", "task", "jobs", "attempts", "wall", "seconds"),
    *("gpu_hours", "core_hours", "estimated_gpu_hours", "price"),
}
"""Keys of each of the `rows` of `usage --json`, and of their `seconds`:"""
USAGE_SECONDS = {
    *("held", "queued", "computing", "waiting_for_data", "evaluating", "checkpointing", "repeated", "idle"),
}

CLEAN = {"dry_run", "bytes", "things", "kept", "notes", "faults"}
"""Keys of `clean --json`; those of each of its `things`, and of what is `kept`:"""
CLEAN_THING = {"kind", "path", "bytes", "run", "job"}
CLEAN_KEPT = {"run", "job", "path", "why"}

REPORT_COLUMNS = {
    *("table", "size", "label", "model", "column"),
    *("mean", "sd", "n", "published", "difference", "seeds"),
}
"""Of the report's report.csv."""

IN_QUEUES = {
    "launcher.attempt": {
        *("--grace", "--limits-time", "--slots", "--python", "--image", "--stop-with", "--rerun-with"),
    },
    "launcher.backends.slurm.requeue": set(),
    "launcher.backends.kubernetes.pod": set(),
    "launcher.backends.kubernetes.advance": set(),
}
"""Modules and their options that are written in scripts and objects of jobs that wait in a queue."""


def usage(parameter: click.Parameter, context: click.Context) -> str:
    """An argument or option as this file writes it."""
    record = parameter.get_help_record(context)
    name = record[0] if record else parameter.make_metavar(context)
    default = parameter.get_default(context)
    default = f" = {default}" if isinstance(default, str | int | float) and not isinstance(default, bool) else ""
    repeatable = ", repeatable" if isinstance(parameter, click.Option) and parameter.multiple else ""
    return f"{name}{default}{repeatable}" + (f" (${parameter.envvar})" if parameter.envvar else "")


def test_verbs_and_their_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda group: [])  # whatever is installed on this machine
    found = {}
    for verb in VERBS:
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        found[verb] = {usage(each, click.Context(command)) for each in command.params}
    assert found == SURFACE


def test_exit_codes(tmp_path: Path) -> None:
    assert {code.name: code.value for code in ExitCode} == JOB_EXIT_CODES
    assert Mistake.exit_code == MISTAKE
    assert {how: exit_code_of_a_run(tmp_path, how) for how in SUBMIT_EXIT_CODES} == SUBMIT_EXIT_CODES


def exit_code_of_a_run(folder: Path, how: str) -> int:
    run = small_runs.make(folder, small_runs.job("a"), name=how)
    JobState(Status(how), 1, failures=int(how == "failed")).write(run.job("a").state)
    return look(run, run.plan()).exit_code


def test_words_of_status() -> None:
    assert {status.value for status in Status} == STATUS_WORDS


def test_keys_of_status_as_json(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    JobState(Status.RUNNING, 1, started=0.0).write(run.job("a").state)
    run.job("a").metrics.write_text('{"step": 0, "time": 0, "metrics": {"train/loss": 1}}\n')
    progress = {"phase": "train", "done": 1, "total": 2, "unit": "step", "rate": 1.0, "updated": 1.0}
    run.job("a").progress.write_text(json.dumps(progress))
    lock = locks.acquire(run.job_lock("a"))
    assert lock is not None
    told = json.loads(small_runs.cli(run, "status", "--json").stdout)
    os.close(lock)
    assert set(told) == STATUS
    (job,) = told["jobs"]
    assert set(job) == STATUS_JOB
    assert set(job["progress"]) == STATUS_PROGRESS
    assert set(job["signs"]) == STATUS_SIGNS and set(job["signs"]["loss"]) == STATUS_CURVE


def test_keys_of_compare_and_diff_as_json(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"), small_runs.job("b", cpus=2))
    run.job("a").metrics.write_text('{"step": 0, "time": 0, "metrics": {"train/loss": 1}}\n')
    compared = json.loads(small_runs.cli(run, "compare", "--json").stdout)
    assert set(compared) == COMPARE and compared["columns"][:3] == COMPARE_COLUMNS
    told = json.loads(small_runs.cli(run, "diff", "test/a", "test/b", "--json").stdout)
    assert set(told) == DIFF
    assert set(told["a"]) == set(told["b"]) == DIFF_SIDE
    assert set(told["environment"][0]) == DIFF_ENTRY
    assert set(told["losses"][0]) == DIFF_LOSSES


def test_keys_of_usage_as_json(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    told = json.loads(small_runs.cli(run, "usage", "--json").stdout)
    (row,) = told["rows"]
    assert set(told) == {"rows", "sum"} and set(row) == USAGE_ROW
    assert set(row["seconds"]) == set(told["sum"]["seconds"]) == USAGE_SECONDS
    (added,) = json.loads(small_runs.cli(run, "usage", "--by", "task", "--json").stdout)["rows"]
    assert set(added) == USAGE_ROW - {"run", "job", "user", "pipeline", "model"}


def test_keys_of_clean_as_json(tmp_path: Path) -> None:
    run = kept_runs.make(tmp_path, "old", kept_runs.job("a"), kept_runs.job("b"), done=("a",))
    for name in "ab":
        kept_runs.save(run.job(name).checkpoints, {5: 9.0, 7: 8.0})
    told = json.loads(small_runs.cli(run, "clean", "--json", "--dry-run").stdout)
    (thing,), (kept,) = told["things"], told["kept"]
    assert (set(told), set(thing), set(kept)) == (CLEAN, CLEAN_THING, CLEAN_KEPT)


def test_columns_of_the_report() -> None:
    assert set(CSV_COLUMNS) == REPORT_COLUMNS


def test_what_waits_in_queues_is_still_there() -> None:
    for module, options in IN_QUEUES.items():
        assert importlib.util.find_spec(module) is not None
        if options:
            told = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
            assert {*re.findall(r"^  (--[a-z-]+)", told.stdout, re.MULTILINE)} == options
