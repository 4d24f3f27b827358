"""What descriptions of runs say, from what was recorded when the run was submitted; nothing is parsed again."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from launcher.runs.create import create
from locat.config import load_job
from locat.contract.flatten import flatten
from locat.contract.submission import Submission
from locat.contract.yaml_text import to_yaml
from locat.engine.tracking.notes import pipeline_note

SHIPPED = Path(__file__).parents[4] / "pipelines"
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], include_characters="\n\t"), min_size=1, max_size=30
)


def kept(pipeline: Path, runs: Path, *overrides: str, run_id: str = "run-1") -> Path:
    """The folder of a run of the pipeline."""
    read = load(pipeline, overrides)
    plan = compile_pipeline(read, run_id, runs)
    return create(plan, read.source.data.decode(), runs, read.source, overrides).path


@pytest.mark.parametrize("pipeline", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_pipeline_is_told_with_its_jobs_and_how_to_submit_it_again(pipeline: Path, tmp_path: Path) -> None:
    run = kept(pipeline, tmp_path, "tracking.experiment=mine")
    note = pipeline_note(run, "1")
    assert f"`launcher report {run.name}`" in note
    assert f"`launcher submit {run}/pipeline.yaml --set tracking.experiment=mine`" in note
    assert "| job | task | needs | once for each |" in note
    again = compile_pipeline(load(run / "pipeline.yaml", ["tracking.experiment=mine"]), "run-1", tmp_path)
    assert again.to_json() == (run / "plan.json").read_text()


def test_a_run_that_was_submitted_from_elsewhere_is_told_without_its_pipeline(tmp_path: Path) -> None:
    plan = compile_pipeline(load(SHIPPED / "digits.yaml"), "run-1", tmp_path)
    note = pipeline_note(create(plan, "# elsewhere", tmp_path).path, "1")
    assert str(tmp_path) in note and "| compare | compare |" in note
    assert "launcher submit" not in note and "pipeline.yaml" not in note


def test_a_run_of_an_older_version_is_told_by_its_folder(tmp_path: Path) -> None:
    assert str(tmp_path) in pipeline_note(tmp_path, "1")


def test_a_setting_of_several_lines_can_be_copied_from_the_description(tmp_path: Path) -> None:
    setting = "jobs.convert.config={dataset: {name: digits,\n  train_scenes: 7}}"
    run = kept(SHIPPED / "digits.yaml", tmp_path, setting)
    assert (run / "pipeline.yaml").read_bytes() == (SHIPPED / "digits.yaml").read_bytes()
    _, _, after = pipeline_note(run, "1").partition("again:\n\n")
    command = after.partition("\n\n| job")[0].replace("\n    ", "\n").strip()
    assert shlex.split(command) == ["launcher", "submit", f"{run}/pipeline.yaml", "--set", setting]


@pytest.mark.parametrize("text", ["2026-01-31", "on", "1e3", "0o17", "1:30", "=", "~x", "no", "1_000"])
def test_words_that_mean_something_in_other_versions_of_yaml_are_texts(text: str, tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    quoted = f"'{text}'" if text in ("1e3", "0o17") else text
    file.write_text(
        f"name: words\ndescription: {quoted}\njobs:\n  on: {{task: convert, matrix: {{no: [yes]}}}}\n"
        f"  folder:\n    task: convert\n    config:\n      dataset:\n        name: image_folder\n        train: /a\n"
        f"        val: /b\n        label: {quoted}\n"
    )
    run = kept(file, tmp_path)
    note = pipeline_note(run, "1")
    assert note.startswith(f"{text}\n\n") and "| on | convert |  | no |" in note
    params = dict(flatten(load_job(run / "jobs/folder/config.yaml").recorded()))
    assert params["dataset.label"] == text


@given(TEXTS, TEXTS)
@settings(max_examples=40, deadline=None)
def test_any_text_of_a_pipeline_comes_out_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, description: str, label: str
) -> None:
    folder = tmp_path_factory.mktemp("text")
    dataset = {"name": "image_folder", "train": "/a", "val": "/b", "label": label.replace("${", "$${")}
    jobs = {"on": {"task": "convert", "config": {"dataset": dataset}}}
    (folder / "a.yaml").write_bytes(to_yaml({"name": "a", "description": description, "jobs": jobs}).encode())
    run = kept(folder / "a.yaml", folder)
    asked = Submission.read(run)
    assert asked is not None and asked.description == description
    assert pipeline_note(run, "1").startswith(f"{description}\n\n")
    assert dict(flatten(load_job(run / "jobs/on/config.yaml").recorded()))["dataset.label"] == label
