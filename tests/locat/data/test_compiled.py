"""What numba compiled is kept from one process to the next, and nothing fails where it cannot be."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import locat
from locat.data import compiled, decode

CODE = Path(locat.__file__).parents[1]
SHOW = """
import json
from locat.data import decode
decode.compile_ahead()
stats = decode._cut_images.stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""


def loaded_and_compiled(cache: Path, code: Path = CODE) -> list[int]:
    """How many functions a process that decodes loads from `cache`, and how many it compiles and keeps there."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(code)}
    process = subprocess.run([sys.executable, "-P", "-W", "error", "-c", SHOW], env=environment, capture_output=True)
    assert process.returncode == 0, process.stderr.decode()
    assert not process.stderr
    found: list[int] = json.loads(process.stdout)
    return found


@pytest.fixture
def nothing_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiled, "BESIDE", tmp_path / "beside")


def test_the_second_process_compiles_nothing(tmp_path: Path) -> None:
    # The first one finds what `make install` has kept beside the sources.
    decode.compile_ahead()
    assert loaded_and_compiled(tmp_path / "cache") == [1, 0]
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.startswith("compiled-")  # this process may have compiled more than the other one
    for file in kept.rglob("*.nb?"):
        file.write_bytes(b"damaged")
    assert loaded_and_compiled(tmp_path / "cache") == [0, 1]
    assert loaded_and_compiled(tmp_path / "cache") == [1, 0]


def test_a_copy_of_the_code_compiles_nothing(tmp_path: Path) -> None:
    decode.compile_ahead()
    assert loaded_and_compiled(tmp_path / "cache") == [1, 0]
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CODE / "locat", tmp_path / "locat", ignore=caches, copy_function=shutil.copyfile)  # new times
    assert loaded_and_compiled(tmp_path / "cache", code=tmp_path) == [1, 0]


def test_a_folder_that_cannot_be_made_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert loaded_and_compiled(tmp_path / "file" / "cache") == [0, 1]


def test_a_change_of_any_source_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {compiled.state()}
    assert {Path(file).name for file in compiled.sources} >= {"decode.py", "resample.py", "vectors.py"}
    copy = tmp_path / "resample.py"
    copy.write_text("one")
    monkeypatch.setattr(compiled, "sources", {*compiled.sources, str(copy)})
    names.add(compiled.state())
    copy.write_text("two")
    names.add(compiled.state())
    assert len(names) == 3


def test_what_is_built_is_taken_along_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_built: None
) -> None:
    built = compiled.BESIDE / "compiled-x"
    built.mkdir(parents=True)
    (built / "function.nbi").write_text("built")
    target = tmp_path / "cache" / "compiled-x"
    assert compiled.is_ready(target)
    assert (target / "function.nbi").read_text() == "built"
    (target / "function.nbi").write_text("newer")
    assert compiled.is_ready(target)
    assert (target / "function.nbi").read_text() == "newer"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["compiled-x"]


def test_a_full_disk_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing_built: None) -> None:
    monkeypatch.setattr(compiled.numba.config, "CACHE_DIR", str(tmp_path))

    @compiled.kept
    def double(number: int) -> int:
        return 2 * number

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(double._cache._cache_file, "save", full)
    assert double(3) == 6
    assert sum(double.stats.cache_misses.values()) == 1
