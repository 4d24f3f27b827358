"""`task: predict` in a pipeline: what it asks which model, and what later jobs find of it."""

from pathlib import Path

import pytest

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import validate
from launcher.plan import Plan
from locat.contract.problems import PipelineError
from locat.contract.yaml_source import Source, parse

PIPELINE = """
name: own
jobs:
  segment:
    task: command
    matrix: {seed: [0, 1]}
    config: {argv: [fit], outputs: {model: model}}
  predict:
    task: predict
    needs: [segment]
    matrix: {seed: [0, 1]}
    config:
      model: ${jobs.segment.outputs.model}
      images: photos/**/*.jpg
      write: [masks]
  count:
    task: command
    needs: [predict]
    config: {argv: [count, "${jobs.predict.outputs.masks}", "${jobs.predict.outputs.predictions}"]}
"""


def compiled(text: str) -> Plan:
    parsed = parse(text, "own.yaml")
    source = Source(parsed.values, parsed.places, folder=Path("/work"))
    return compile_pipeline(validate(source), "r", Path("/runs"), sees_folders=True)


def test_each_model_is_asked_and_what_is_written_is_an_output() -> None:
    jobs = {job.name: job for job in compiled(PIPELINE).jobs}
    assert jobs["predict-1"].config["model"] == "/runs/r/jobs/segment-1/outputs/model"
    assert jobs["predict-1"].config["images"] == ["/work/photos/**/*.jpg"]
    outputs = [f"/runs/r/jobs/predict-{seed}/outputs" for seed in (0, 1)]
    written = [f"{folder}/{name}" for name in ("masks", "predictions.jsonl") for folder in outputs]
    assert jobs["count"].config["argv"] == ["count", *written]
    hub = compiled(PIPELINE.replace("${jobs.segment.outputs.model}", "hf-hub:timm/some.model"))
    assert {job.name: job for job in hub.jobs}["predict-0"].config["model"] == "hf-hub:timm/some.model"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("write: [masks]", "write: [overlays]", "'predict' has no output 'masks'"),
        ("write: [masks]", 'write: ["${matrix.seed}"]', "write"),
        ("${jobs.segment.outputs.model}", "run:r/segment-0", "write the job's folder, such as runs/r/jobs/segment-0/"),
        ("${jobs.segment.outputs.model}", "3", "expected a folder or hf-hub:OWNER/NAME"),
        ("photos/**/*.jpg", "[]", "config.images"),
    ],
)
def test_mistakes_are_told_before_anything_runs(old: str, new: str, told: str) -> None:
    with pytest.raises(PipelineError) as refusal:
        compiled(PIPELINE.replace(old, new))
    assert told in str(refusal.value)
    assert "predict" in str(refusal.value)
