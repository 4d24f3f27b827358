"""Copies of code: one for each content, whole or not there, nobody else's."""

import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from launcher.snapshot import store
from launcher.snapshot.errors import SnapshotError
from support.required import require
from support.uids import NOBODY, second

KILLED = """
import os, pathlib, sys
from launcher.snapshot import store
from locat.contract import durable
runs, code = map(pathlib.Path, sys.argv[1:])
durable.sync_folder = lambda folder: os._exit(9)  # once the files are there
store.keep(runs, {path.name: path for path in code.iterdir()}, {})
"""


def code(folder: Path, **contents: str) -> dict[str, Path]:
    """Modules with these contents, as `keep` takes them."""
    folder.mkdir(exist_ok=True)
    for name, text in contents.items():
        (folder / f"{name}.py").write_text(text)
    return {f"package/{path.name}": path for path in folder.iterdir()}


def copies(runs: Path) -> list[str]:
    return sorted(path.name for path in (runs / store.NAME).iterdir())


def test_each_content_is_copied_once_and_cannot_be_edited(tmp_path: Path) -> None:
    runs = tmp_path / "my runs"
    files = code(tmp_path / "with spaces", a="1", b="2")
    first = store.keep(runs, files, {})
    assert first.folder == runs / ".code" / first.digest
    assert (first.folder / "package" / "a.py").read_text() == "1"
    made = first.folder.stat().st_ino
    assert store.keep(runs, files, {}) == first and first.folder.stat().st_ino == made
    assert {stat.S_IMODE(path.stat().st_mode) & 0o222 for path in first.folder.rglob("*.py")} == {0}
    other = store.keep(runs, code(tmp_path / "with spaces", a="changed"), {})
    assert copies(runs) == sorted([first.digest, other.digest])
    assert store.keep(runs, code(tmp_path / "with spaces", a="1"), {}) == first


def test_what_saves_time_is_no_part_of_the_content(tmp_path: Path) -> None:
    files = code(tmp_path / "code", a="1")
    cache = tmp_path / "cache.nbi"
    cache.write_text("compiled")
    kept = store.keep(tmp_path / "runs", files, {"package/__pycache__/cache.nbi": cache})
    assert (kept.folder / "package/__pycache__/cache.nbi").read_text() == "compiled"
    assert store.keep(tmp_path / "other", files, {}).digest == kept.digest


def test_what_jobs_compiled_is_found_by_the_next_copy(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = store.keep(runs, code(tmp_path / "code", a="1"), {})
    (first.folder / "package/__pycache__").mkdir()
    for name in ("kernel-0123abc.so", "a.cpython-311.pyc"):
        (first.folder / "package/__pycache__" / name).write_text("compiled")
    assert store.keep(runs, code(tmp_path / "code"), {}) == first
    second = store.keep(runs, code(tmp_path / "code", a="2"), {})
    assert [path.name for path in second.folder.rglob("__pycache__/*")] == ["kernel-0123abc.so"]


@pytest.mark.parametrize("change", ["purged", "edited"])
def test_a_copy_that_was_changed_is_mended_where_it_lies(tmp_path: Path, change: str) -> None:
    files = code(tmp_path / "code", a="1", b="2")
    first = store.keep(tmp_path / "runs", files, {})
    file = first.folder / "package/a.py"
    file.unlink()
    if change == "edited":
        file.write_text("raise RuntimeError")
    assert not store.is_whole(first.folder)
    (first.folder / "package/written.txt").write_text("by a job, beside its code")
    made = first.folder.stat().st_ino
    assert store.keep(tmp_path / "runs", files, {}) == first and store.is_whole(first.folder)
    assert first.folder.stat().st_ino == made and copies(tmp_path / "runs") == [first.digest]


def test_names_count_and_cannot_run_into_contents(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("1")
    assert len({store.digest_of(files) for files in ({"a": a}, {"b": a}, {"a": a, "b": b})}) == 3


def test_a_file_that_is_edited_while_it_is_copied_is_named_by_what_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = code(tmp_path / "code", a="before")
    sweep = store._sweep

    def edit(folder: Path) -> None:
        code(tmp_path / "code", a="after")
        sweep(folder)

    monkeypatch.setattr(store, "_sweep", edit)
    kept = store.keep(tmp_path / "runs", files, {})
    assert (kept.folder / "package/a.py").read_text() == "after"
    assert kept.digest == store.digest_of(files)


def test_a_file_that_is_gone_is_left_out(tmp_path: Path) -> None:
    files = {**code(tmp_path / "code", a="1"), "package/gone.py": tmp_path / "gone.py"}
    kept = store.keep(tmp_path / "runs", files, {})
    assert [path.name for path in kept.folder.rglob("*.py")] == ["a.py"]
    assert kept.digest == store.digest_of(code(tmp_path / "code", a="1"))


def test_two_that_submit_at_once_make_one_copy(tmp_path: Path) -> None:
    files = code(tmp_path / "code", **{f"m{number}": str(number) for number in range(200)})
    found: list[store.Copy] = []
    threads = [
        threading.Thread(target=lambda: found.append(store.keep(tmp_path / "runs", files, {}))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1
    assert copies(tmp_path / "runs") == [found[0].digest]


def test_a_kill_during_the_copy_leaves_no_half_of_one(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    code(tmp_path / "code", a="1")
    command = [sys.executable, "-c", KILLED, str(runs), str(tmp_path / "code")]
    assert subprocess.run(command, check=False).returncode == 9
    (left,) = copies(runs)
    assert left.startswith(".new-")
    kept = store.keep(runs, code(tmp_path / "code"), {})
    assert copies(runs) == sorted([left, kept.digest])  # it may be another machine's that copies just now
    day_before = time.time() - store.LEFT_OVER - 1
    os.utime(runs / ".code" / left, (day_before, day_before))
    other = store.keep(runs, code(tmp_path / "code", a="2"), {})
    assert copies(runs) == sorted([kept.digest, other.digest])


def test_too_much_is_refused_with_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_BYTES", 2_000_000)
    files = code(tmp_path / "code", small="1")
    (tmp_path / "code/weights.bin").write_bytes(bytes(3_000_000))
    files["package/weights.bin"] = tmp_path / "code/weights.bin"
    with pytest.raises(SnapshotError, match=r"2 files of 3\.0 MB.*at most.* 2\.0 MB.*weights\.bin \(3\.0 MB\)"):
        store.keep(tmp_path / "runs", files, {})
    assert not list((tmp_path / "runs").rglob("weights.bin"))


def test_ten_thousand_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = code(tmp_path / "code", **{f"m{number}": str(number) for number in range(10_000)})
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # which takes this test's time, and says nothing here
    kept = store.keep(tmp_path / "runs", files, {})
    made = kept.folder.stat().st_ino
    assert store.keep(tmp_path / "runs", files, {}) == kept and kept.folder.stat().st_ino == made
    assert sum(1 for _ in kept.folder.rglob("*.py")) == 10_000


def test_a_path_that_python_would_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="`:` in its path; give another --runs-dir"):
        store.keep(tmp_path / "a:b", code(tmp_path / "code", a="1"), {})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    loop = tmp_path / "loop.py"
    loop.symlink_to(loop)
    with pytest.raises(SnapshotError, match=r"loop\.py"):
        store.keep(tmp_path / "runs", {"loop.py": loop}, {})


@pytest.mark.parametrize("theirs", ["owner", "mode"])
def test_what_somebody_else_could_change_is_not_run(tmp_path: Path, theirs: str) -> None:
    if theirs == "owner":
        require(second())
    (tmp_path / ".code").mkdir()
    if theirs == "owner":
        os.chown(tmp_path / ".code", NOBODY, NOBODY)
    else:
        (tmp_path / ".code").chmod(0o775)
    kept = store.keep(tmp_path, code(tmp_path / "code", a="1"), {})
    assert kept.folder.parent == tmp_path / f".code-{os.getuid()}"
    assert not copies(tmp_path)


def test_nobody_else_enters_a_copy_whatever_the_umask(tmp_path: Path) -> None:
    """Python makes folders for what it compiles as the umask says, and would run what another one puts there."""
    before = os.umask(0o002)
    try:
        kept = store.keep(tmp_path, code(tmp_path / "code", a="1"), {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(kept.folder.parent.stat().st_mode) == 0o700
