import os
from pathlib import Path

import pytest

from locat.contract import durable


def test_content_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    durable.write_json(path, {"a": 1})
    durable.write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 2\n}\n'
    assert [file.name for file in path.parent.iterdir()] == ["state.json"]


def test_a_folder_that_was_deleted_does_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.write_json(tmp_path / "jobs" / "a" / "state.json", {})
    with pytest.raises(FileNotFoundError):
        durable.make_folder(tmp_path / "jobs" / "a" / "outputs" / "model", within=tmp_path / "jobs" / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(10)
def test_a_pipe_and_a_link_to_nothing_do_not_stop_a_flush(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe")
    durable.sync_tree(tmp_path)


def test_a_failing_write_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    durable.write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_digest_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert durable.sha256(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
