"""Compiling the C++ kernels: where libraries lie, and what is said where there can be none. The compiler is a fake."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from locat.models.kernels.compiled import build

COMPILER = """#!/bin/sh
test -n "$FAILING" && { echo "attention.cpp:1: error: no such thing" >&2; exit 1; }
while test "$1" != -o; do shift; done
echo library > "$2"
"""


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of the sources, a compiler, and a user's cache."""
    copy = tmp_path / "kernels"
    copy.mkdir()
    for source in build.SOURCES:
        shutil.copy(build.HERE / source, copy)
    compiler = tmp_path / "bin" / "g++"
    compiler.parent.mkdir()
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    monkeypatch.setattr(build, "HERE", copy)
    monkeypatch.setattr(build.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", f"{compiler.parent}:/bin:/usr/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return copy


def libraries(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_each_instruction_set_gets_a_library_once(sources):
    assert build.built("AVX2") is None
    assert build.build() is None
    beside = sources / "__pycache__"
    assert libraries(beside) == sorted(build.name(instructions) for instructions in build.INSTRUCTIONS)
    first = build.built("AVX2").stat().st_mtime_ns
    assert build.build() is None
    assert build.built("AVX2").stat().st_mtime_ns == first


@pytest.mark.parametrize("source", build.SOURCES)
def test_a_library_of_other_sources_is_not_taken(sources, source):
    build.build()
    with open(sources / source, "a") as file:
        file.write("\n// changed\n")
    assert build.built("AVX2") is None


def test_every_file_that_is_included_is_a_source():
    included = {path.name for path in build.HERE.iterdir() if path.suffix in (".h", ".cpp")}
    assert included == set(build.SOURCES)


def test_where_the_sources_cannot_be_written_to_it_is_the_users_cache(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(
        build, "writable", lambda folder: folder != sources / "__pycache__" and not folder.mkdir(parents=True)
    )
    assert build.build() is None
    assert build.built("AVX2").parent == tmp_path / "cache" / "locat"
    monkeypatch.setattr(build, "writable", lambda folder: False)
    shutil.rmtree(tmp_path / "cache")
    assert build.build().startswith("nothing can be written to")


def test_a_compiler_that_fails_leaves_nothing_and_a_reason(sources, monkeypatch):
    monkeypatch.setenv("FAILING", "1")
    assert build.build().endswith("failed: attention.cpp:1: error: no such thing")
    assert libraries(sources / "__pycache__") == []


def test_no_compiler_and_another_processor_are_reasons(sources, monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    assert build.build() == "there is no C++ compiler"
    monkeypatch.setattr(build.platform, "machine", lambda: "aarch64")
    assert build.build() == "there are no kernels for aarch64"


def test_it_runs_where_there_is_nothing_but_python_and_says_why_it_could_not(sources):
    """As in the image's build: no package is installed yet."""
    shutil.copy(Path(build.__file__), sources)
    command = [sys.executable, "-I", "-S", "build.py"]
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(libraries(sources / "__pycache__")) == len(build.INSTRUCTIONS)
    shutil.rmtree(sources / "__pycache__")
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, env={**os.environ, "FAILING": "1"})
    assert done.returncode == 0
    assert "torch's operations" in done.stderr and "no such thing" in done.stderr
