"""Which files are code, and what git says of them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from launcher.snapshot import files, git, store, take
from launcher.snapshot.redaction import blanked
from launcher.snapshot.take import _origin, _Part
from locat.contract.source import Origin


def run(folder: Path, *words: str, text: bytes = b"") -> None:
    known = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *known, *words], cwd=folder, input=text, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one commit and, since then, changes of every kind."""
    folder = tmp_path / "my checkout"
    package = folder / "package"
    package.mkdir(parents=True)
    for name in ("same", "changed", "deleted", "moved"):
        (package / f"{name}.py").write_text(f"{name} = 1\n")
    (folder / ".gitignore").write_text("__pycache__/\n*.log\n*.so\n.venv/\n")
    (folder / "README.md").write_text("beside it")
    run(folder, "init")
    run(folder, "add", ".")
    run(folder, "commit", "-m", "first")
    (package / "changed.py").write_text("changed = 2\n")
    (package / "deleted.py").unlink()
    run(folder, "mv", "package/moved.py", "package/staged.py")
    (package / "new.py").write_text("new = 1\n")
    (package / "naïve name.py").write_text("x = 1\n")
    (package / "new.bin").write_bytes(bytes(range(256)))
    (package / "ignored.log").write_text("not code")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "new.cpython-311.pyc").write_text("not code")
    (package / "__pycache__" / "kernel-0123abc.so").write_text("compiled of what its name says")
    (package / "native.so").write_text("a compiled module")
    (folder / "README.md").write_text("changed beside it")
    return folder


CODE = {"same.py", "changed.py", "staged.py", "new.py", "naïve name.py", "new.bin", "native.so"}


def found(folder: Path) -> files.Found:
    return files.find(folder, ["package"])


def part(folder: Path) -> _Part:
    return _Part(folder, ("package",), found(folder))


def digest(folder: Path, names: set[str]) -> str:
    return store.digest_of({name: folder / "package" / name for name in names})


def test_code_is_what_git_would_take_and_what_was_compiled(checkout: Path) -> None:
    assert set(found(checkout).names) == {f"package/{name}" for name in CODE}
    assert found(checkout).aside == ("package/__pycache__/kernel-0123abc.so",)


def test_another_repository_within_is_code_too(checkout: Path) -> None:
    """A submodule, which git lists as one name."""
    within = checkout / "package/within"
    (within / "__pycache__").mkdir(parents=True)
    for name in ("module.py", "__pycache__/module.cpython-311.pyc"):
        (within / name).write_text("")
    run(within, "init")
    run(within, "add", "module.py")
    run(within, "commit", "-m", "within")
    assert set(found(checkout).names) == {f"package/{name}" for name in (*CODE, "within/module.py")}


def test_commit_and_patch_make_the_code(checkout: Path, tmp_path: Path) -> None:
    origin, patch = _origin(part(checkout), ())
    assert origin.branch == "main" and not origin.note
    assert b"beside it" not in patch
    again = tmp_path / "again"
    run(checkout, "worktree", "add", str(again), origin.commit)
    run(again, "apply", "-", text=patch)
    code = CODE - {"native.so"}
    assert digest(again, code) == digest(checkout, code)
    assert set(found(again).names) == {f"package/{name}" for name in code}


def test_nothing_of_the_checkout_is_touched(checkout: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (checkout / ".git").rglob("*")}
    _origin(part(checkout), ())
    assert {path: path.stat().st_mtime_ns for path in (checkout / ".git").rglob("*")} == before


def test_a_checkout_without_changes_has_no_patch(checkout: Path) -> None:
    run(checkout, "add", ".")
    run(checkout, "commit", "-m", "second")
    origin, patch = _origin(part(checkout), ())
    assert not patch and not origin.is_changed and len(origin.commit) == 40


def test_a_shell_prepared_for_another_repository_bends_nothing(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _origin(part(checkout), ())
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_EXTERNAL_DIFF"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    assert _origin(part(checkout), ()) == expected


def test_without_git_all_files_but_caches_are_code(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    seen = found(checkout)
    assert set(seen.names) == {f"package/{name}" for name in (*CODE, "ignored.log")}
    origin, patch = _origin(part(checkout), ())
    assert not patch and not origin.commit and "git cannot be run" in origin.note


def test_a_module_that_git_ignores_is_code_too(checkout: Path) -> None:
    """As a plugin beside others."""
    (checkout / "own.log").write_text("")
    both = ("package", "own.log")
    seen = files.find(checkout, both)
    assert set(seen.names) == {*(f"package/{name}" for name in CODE), "own.log"}
    origin, _ = _origin(_Part(checkout, both, seen), ())
    assert origin.commit and origin.patch == "" and origin.note == "own.log: ignored by git, and in no commit or patch"


def test_an_installation_within_a_checkout_is_not_of_it(checkout: Path) -> None:
    installed = checkout / ".venv/site-packages"
    shutil.copytree(checkout / "package", installed / "package")
    assert not found(installed).is_checkout
    assert "package/changed.py" in found(installed).names
    assert _origin(part(installed), ()) == (Origin(str(installed), ("package",)), b"")


def test_a_folder_of_no_repository_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/a.py").write_text("")
    assert _origin(part(tmp_path), ())[0] == Origin(str(tmp_path), ("package",))


def test_the_revision_of_an_image_is_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (tmp_path / "package").mkdir()
    (tmp_path / "package/a.py").write_text("")
    (tmp_path / take.REVISION).write_text("0123abc\n")
    origin, _ = _origin(part(tmp_path), ())
    assert origin.commit == "0123abc" and not origin.is_changed
    (tmp_path / take.REVISION).write_text("0123abc-dirty\n")
    origin, _ = _origin(part(tmp_path), ())
    assert origin.commit == "0123abc" and origin.is_changed


def test_too_large_a_patch_is_said_and_not_kept(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take, "MOST_PATCH", 100)
    origin, patch = _origin(part(checkout), ())
    assert not patch and "too much for a patch" in origin.note and origin.is_changed


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package/a.py").write_text("")
    run(tmp_path, "init")
    origin, patch = _origin(part(tmp_path), ())
    assert not patch and not origin.commit and origin.note


def test_an_index_that_is_gone_is_said(checkout: Path) -> None:
    (checkout / ".git/index").unlink()
    origin, patch = _origin(part(checkout), ())
    assert not patch and len(origin.commit) == 40 and "No such file or directory" in origin.note


def test_git_that_does_not_answer_holds_nobody_up(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = checkout / "bin/git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 30\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(git, "TIMEOUT", 0.2)
    assert "gave no answer" in found(checkout).note


SECRETS = {
    "a URL's password": "https://me:hunter2222@example.org/x",
    "a value of this shell": "very-secret-value",
    "a named one": 'db_password = "correct-horse"',
    "a token": "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secrets_are_blanked_out(checkout: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("UNUSUAL_NAME", "very-secret-value")
    (checkout / "package/new.py").write_text(f"x = 1\n{SECRETS[kind]}\ny = 2\n")
    origin, patch = _origin(part(checkout), ["UNUSUAL_NAME"])
    assert not any(word in patch for word in (b"hunter2222", b"very-secret", b"correct-horse", b"hf_abc"))
    assert b"***" in patch and b"y = 2" in patch and "blanked out" in origin.note


def test_of_a_secret_that_begins_as_another_one_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {f"SECRET_{number}": "correct-horse"[: 8 + number] for number in range(6)}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    text = "\n".join(secrets.values()).encode()
    assert blanked(text, ()) == b"\n".join([b"***"] * len(secrets))


def test_what_a_model_reads_words_with_is_no_secret() -> None:
    line = b'tokenizer = "bert-base-uncased"'
    assert blanked(line, ()) == line
