"""What the suite does on a machine that lacks something, and in a clone that was used before."""

import os
import shutil
import subprocess
from collections import OrderedDict, namedtuple
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

from cluster import build
from support import required, scheduling, skipped
from support.documents import ROOT

Disk = namedtuple("Disk", "total used free")


def made(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What `make` says, in an environment with these variables and no CI."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "--old-file=.venv/installed", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**kept, **variables}, capture_output=True, text=True, check=False)


def test_a_test_skips_for_a_user_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    required.require("")
    with pytest.raises(pytest.skip.Exception, match="no brush: buy one"):
        required.require("no brush: buy one")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no brush: buy one"):
        required.require("no brush: buy one")


def test_isolation_takes_root_and_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "run as root" in required.isolation()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(required, "_effective", lambda: 1 << 12)
    assert required.isolation() == "no CAP_SYS_ADMIN: start the container with --privileged"


def test_space_is_asked_for_before_there_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(0, 0, 20 * 10**9) if path == tmp_path else None)
    assert required.space(tmp_path / "a" / "b", 20) == ""
    assert required.space(tmp_path / "a" / "b", 21) == f"{tmp_path}/a/b has 20 GB free: 21 GB are needed"


def test_programs_ask_for_space_and_go_before_they_are_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAT_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(0, 0, 10**9))
    assert "10 GB are needed" in build.missing()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(0, 0, 10**12))
    monkeypatch.setattr(build, "go", lambda: "")
    assert build.missing() == "no Go: `make kubernetes` installs it"


def test_programs_of_modules_that_cannot_be_had_are_missed_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(command: list[str], folder: Path) -> str:
        raise RuntimeError(f"{command}:\nlookup failed\nmodule lookup disabled by GOPROXY=off\n")

    monkeypatch.setenv("LOCAT_CACHE", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(0, 0, 10**12))
    monkeypatch.setattr(build, "go", lambda: "go")
    monkeypatch.setattr(build, "_run", offline)
    assert build.missing() == (
        "Go modules cannot be downloaded: name a proxy with GOPROXY (module lookup disabled by GOPROXY=off)"
    )


def test_what_was_skipped_is_told_by_reason_with_its_files() -> None:
    def report(test: str, reason: str) -> pytest.TestReport:
        place = (test.partition("::")[0], 1, f"Skipped: {reason}")
        return pytest.TestReport(test, ("", 0, ""), {}, "skipped", place, "setup")

    reports = [report("a.py::x", "no GPU: buy one"), report("b.py::x", "no root"), report("b.py::y", "no root")]
    assert list(skipped.lines(reports)) == ["2 skipped: no root", "    b.py", "1 skipped: no GPU: buy one", "    a.py"]


def test_packages_that_cannot_be_installed_stop_nobody_but_those_who_need_them(tmp_path: Path) -> None:
    for name, script in {"dpkg": "exit 1", "sudo": "exit 1", "id": "echo 1000"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    asked = made("slurm", PATH=path)
    assert (asked.returncode, "run make again: slurmctld" in asked.stderr) == (2, True)
    tested = made("slurm", "optional=yes", PATH=path)
    assert (tested.returncode, "will be skipped" in tested.stderr) == (0, True)
    assert made("system", PATH=path).returncode == 2


def test_only_a_users_tests_may_do_without() -> None:
    gives_up = "will be skipped"
    assert gives_up in made("--dry-run", "test").stdout
    assert gives_up not in made("--dry-run", "test", CI="").stdout
    assert gives_up not in made("--dry-run", "kubernetes", "container-tools", "slurm", "browser").stdout


def test_the_clusters_tests_wait_for_its_programs_and_then_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class Builder:
        ended: int | None = None

        def poll(self) -> int | None:
            return self.ended

    assigned, builder = [], Builder()

    def assign(self: scheduling.Scheduling, node: object) -> None:
        assigned.append(self.workqueue.popitem(last=False)[0])

    monkeypatch.setattr(LoadFileScheduling, "_assign_work_unit", assign)
    monkeypatch.setattr(scheduling, "_start_building", lambda: builder)
    monkeypatch.setattr(build.Program, "built", False)
    queue = scheduling.Scheduling.__new__(scheduling.Scheduling)
    queue.workqueue = OrderedDict.fromkeys(["cluster", "tests/image/test_checks.py", "a", "b"])
    queue._assign_work_unit(None)
    builder.ended = 0
    for _ in range(3):
        queue._assign_work_unit(None)
    assert assigned == ["a", "cluster", "tests/image/test_checks.py", "b"]
