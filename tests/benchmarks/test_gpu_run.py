"""The prepared run on a GPU: it keeps to its time, loses nothing that was done, and goes on after what fails."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GPU = ROOT / "benchmarks" / "gpu"
RUN = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
sys.path.insert(0, {folder!r})
from running import Part, run_all
parts = [Part(name, limit, (sys.executable, "-c", code), needs) for name, limit, code, needs in {parts!r}]
for record in run_all(parts, {budget!r}, Path({results!r}), {{"PATH": "", "RESULTS": {results!r}}}):
    pass
"""
WRITES = "import os, pathlib; pathlib.Path(os.environ['RESULTS'], 'found.json').write_text('1'); print('said')"
HANGS = "import os, time; print('begins', flush=True); time.sleep(100)"
LEAVES_ANOTHER = (
    "import os, subprocess, sys, pathlib;"
    "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], start_new_session=True);"
    "pathlib.Path(os.environ['RESULTS'], 'other').write_text(str(other.pid))"
)
Given = tuple[str, float, str, tuple[str, ...]]


def program(results: Path, parts: list[Given], budget: float = 60) -> list[str]:
    text = RUN.format(folder=str(GPU), parts=parts, budget=budget, results=str(results))
    return [sys.executable, "-c", text]


def record(results: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((results / f"gpu-{name}.json").read_text())
    return found


def test_what_fails_or_hangs_does_not_stop_the_others(tmp_path: Path) -> None:
    parts: list[Given] = [
        ("fails", 30, "raise SystemExit('why')", ()),
        ("hangs", 5, HANGS, ()),
        ("lacks", 30, WRITES, ("no_such_module",)),
        ("works", 30, WRITES, ()),
    ]
    subprocess.run(program(tmp_path, parts), check=True)
    assert record(tmp_path, "fails")["reason"] == "exit code 1" and "why" in record(tmp_path, "fails")["told"]
    assert record(tmp_path, "hangs")["status"] == "cut" and record(tmp_path, "hangs")["told"] == "begins\n"
    assert record(tmp_path, "lacks")["reason"] == "no_such_module is not here"
    works = record(tmp_path, "works")
    assert (works["status"], works["results"], works["told"]) == ("done", ["found.json"], "said\n")


def test_the_budget_is_kept(tmp_path: Path) -> None:
    start = time.monotonic()
    subprocess.run(program(tmp_path, [("hangs", 60, HANGS, ()), ("late", 60, WRITES, ())], budget=6), check=True)
    assert time.monotonic() - start < 30
    assert record(tmp_path, "hangs")["reason"] == "by its limit of 6 s"
    assert (record(tmp_path, "late")["status"], record(tmp_path, "late")["reason"]) == ("left out", "no time was left")


def test_what_a_part_leaves_running_is_ended(tmp_path: Path) -> None:
    subprocess.run(program(tmp_path, [("leaves", 30, LEAVES_ANOTHER, ())]), check=True)
    assert not Path("/proc", (tmp_path / "other").read_text()).exists()


def test_a_run_that_is_killed_leaves_what_was_done(tmp_path: Path) -> None:
    with subprocess.Popen(program(tmp_path, [("works", 30, WRITES, ()), ("hangs", 60, HANGS, ())])) as process:
        until = time.monotonic() + 30
        while not (tmp_path / "gpu-works.json").exists():
            assert time.monotonic() < until, "waited too long"
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
    assert record(tmp_path, "works")["status"] == "done"


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    command = [sys.executable, str(GPU), "--results", str(tmp_path)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "torch sees no GPU here; --rehearse runs all parts on the CPU\n"


@pytest.mark.slow
def test_a_rehearsal_runs_every_program(tmp_path: Path) -> None:
    only = ["attention-224", "step-tiny", "chain-fsdp", "profile", "loader", "memory"]
    results, packed = tmp_path / "results", tmp_path / "all.tar.gz"
    command = [sys.executable, str(GPU), "--rehearse", "--budget", "550", "--results", str(results)]
    done = subprocess.run([*command, "--archive", str(packed), "--only", *only], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + "".join(record(results, name)["told"] for name in only)
    summary = (results / "gpu.md").read_text()
    assert all(f"| {name} | done |" in summary for name in only)
    assert "micro_batch_size" in summary and "no number below is a measurement" in summary
    with tarfile.open(packed) as archive:
        assert {"gpu.md", "gpu-memory.json", "memory-cpu.json", "chain-fsdp.json"} <= set(archive.getnames())


@pytest.mark.slow
@pytest.mark.skipif("GPU_BUNDLE" not in os.environ, reason="no GPU_BUNDLE=1: it asks a package index for wheels")
def test_the_bundle_is_small_enough() -> None:
    subprocess.run([sys.executable, str(GPU / "bundle.py")], check=True)
    packed = [path for path in (ROOT / "build" / "gpu").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in packed) <= 60e6
    assert {"pydantic", "click", "deepspeed"} <= {path.name.split("-")[0] for path in packed}
