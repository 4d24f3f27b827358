"""A pipeline is read once: what was read and what was set stay with the run, and mean the same again."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from launcher.cli import cli
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.runs.find import find
from launcher.runs.folder import RunFolder
from locat.contract.problems import PipelineError
from locat.contract.submission import Submission

TEXT = """\
name: asked
jobs:
  convert:
    task: convert
    config: {dataset: {name: imagenet, source: DATA}}"""
"""Without a final newline."""


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.backends.local.backend.LocalBackend.start", lambda *_: "")


def text(source: str = "/data", tracking: str = "") -> str:
    return (f"tracking: {tracking}\n" if tracking else "") + TEXT.replace("DATA", source)


def submitted(folder: Path, *arguments: str) -> RunFolder:
    answer = CliRunner().invoke(cli, ["submit", *arguments, "--runs-dir", str(folder / "runs")])
    assert answer.exit_code == 0, answer.output
    return find(folder / "runs", None)


def source_of(run: RunFolder) -> str:
    return str(run.plan().jobs[0].config["dataset"]["source"])


@pytest.mark.parametrize("data", [text(), text() + "\n", "\ufeff" + text().replace("\n", "\r\n"), "# é 漢\n" + text()])
def test_a_run_keeps_the_bytes_that_were_read(data: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(data.encode())
    setting = "description='first\n\n  second'"
    run = submitted(tmp_path, str(tmp_path / "a.yaml"), "--set", setting, "--set", "defaults.retries=2")
    assert run.pipeline.read_bytes() == data.encode()
    asked = Submission.read(run.path)
    assert asked is not None and asked.settings == (setting, "defaults.retries=2")
    again = compile_pipeline(load(run.pipeline, asked.settings), run.name, tmp_path / "runs")
    assert again == run.plan() and again.description == "first\nsecond"


def test_a_pipe_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    os.write(writing, text("pictures").encode())
    os.close(writing)
    run = submitted(tmp_path, f"/dev/fd/{reading}")
    os.close(reading)
    assert run.pipeline.read_text() == text("pictures")
    assert source_of(run) == str(tmp_path / "pictures")  # from the folder of the shell


def test_paths_are_from_the_folder_of_the_file_they_are_written_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    top, base = tmp_path / "top", tmp_path / "base"
    for folder in (top, base):
        folder.mkdir()
    (top / "a.yaml").write_text(text("pictures/imagenet", "{uri: 'sqlite:///my.db'}"))
    run = submitted(tmp_path, str(top / "a.yaml"))
    assert (source_of(run), run.plan().tracking_uri) == (f"{top}/pictures/imagenet", f"sqlite:///{top}/my.db")
    run = submitted(tmp_path, str(top / "a.yaml"), "--set", "jobs.convert.config.dataset.source=~/pictures")
    assert source_of(run) == "/home/me/pictures"
    run = submitted(tmp_path, str(top / "a.yaml"), "--set", "jobs.convert.config.dataset.source=other")
    assert source_of(run) == f"{top}/other"

    (base / "a.yaml").write_text(text("../pictures", "{uri: 'sqlite:///my.db'}"))
    (top / "b.yaml").write_text("include: ../base/a.yaml\ndescription: over\n")
    run = submitted(tmp_path, str(top / "b.yaml"))
    expected = source_of(run), run.plan().tracking_uri
    assert [str(Path(path).resolve()) for path in (expected[0], expected[1].removeprefix("sqlite:///"))] == [
        f"{tmp_path}/pictures",
        f"{base}/my.db",
    ]
    (base / "a.yaml").unlink()
    again = submitted(tmp_path, str(run.pipeline))  # the copy means the same, and so does a copy of the copy
    assert (source_of(again), again.plan().tracking_uri) == expected
    assert source_of(submitted(tmp_path, str(again.pipeline))) == expected[0]


@pytest.mark.parametrize("value", ["pictures", "~/pictures", "./x", "'${matrix.at}'"])
def test_a_cluster_that_sees_no_folder_of_this_machine_refuses_what_is_relative(value: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text(value).replace("config:", "matrix: {at: [x]}\n    config:"))
    with pytest.raises(PipelineError) as error:
        compile_pipeline(load(tmp_path / "a.yaml"), "run-1", Path("/runs"), "http://mlflow:5000", "kubernetes", False)
    assert f"{tmp_path}/a.yaml:6:40: jobs.convert.config.dataset.source: " in str(error.value)
    assert "jobs see no folder of this machine" in str(error.value)


def test_so_it_does_with_a_relative_store(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("/data", "{uri: 'sqlite:///my.db'}"))
    answer = CliRunner().invoke(cli, ["render", str(tmp_path / "a.yaml"), "--backend", "kubernetes"])
    assert answer.exit_code == 2
    assert "a.yaml:1:12: tracking.uri: jobs see no folder of this machine" in answer.output


@pytest.mark.parametrize(
    ("tracking", "message"),
    [
        ("{uri: 'localhost:5000'}", "tracking.uri: not a URI; did you mean 'http://localhost:5000'?"),
        ("{uri: mlruns}", "tracking.uri: a folder, to which MLflow writes no more"),
        ("{uri: 'http://me:word@host'}", "tracking.uri: holds credentials"),
        (f"{{experiment: {'x' * 600}}}", "tracking.experiment: 600 characters; MLflow takes 500"),
        ("{experiment: ' '}", "tracking.experiment: an experiment's name cannot be blank"),
    ],
)
def test_what_mlflow_never_takes_is_refused_by_validate(tracking: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text("/data", tracking))
    answer = CliRunner().invoke(cli, ["validate", str(tmp_path / "a.yaml")])
    assert answer.exit_code == 2
    assert answer.output.startswith(f"{tmp_path}/a.yaml:1:12: {message}")


def test_a_value_that_came_through_json_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text())
    run = submitted(tmp_path, str(tmp_path / "a.yaml"))
    written: dict[str, Any] = json.loads((run.path / "submitted.json").read_text())
    assert written["jobs"] == [{"name": "convert", "task": "convert", "needs": [], "axes": []}]
