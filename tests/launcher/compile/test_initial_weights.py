"""`model.init` in a pipeline: where a job finds its first weights, and what is not there is told with its place."""

from pathlib import Path

import pytest

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load
from locat.contract.problems import PipelineError

PIPELINE = """\
name: tune
jobs:
  pretrain:
    task: supervised
    config: {{model: {{name: a}}, data: {{train: /d/t.beton, val: /d/v.beton}}, epochs: 1, batch_size: 8}}
  tune:
    task: {task}
    needs: [pretrain]
    config:
      model: {{name: vit_tiny_patch16_224, init: {init}}}
      data: {{train: /d/t.beton, val: /d/v.beton}}
      {rest}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pipeline's folder with weights, and a run of before."""
    (tmp_path / "plain").mkdir()
    for name in ("plain/model.safetensors", "plain.pth", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    job = tmp_path / "runs/old-1/jobs/pretrain"
    for folder in (
        job / "outputs",
        *(job / f"checkpoints/step-0000040{end}" for end in ("", ".copy")),
        job.with_name("compare"),
    ):
        folder.mkdir(parents=True)
    (job / "outputs/model.safetensors").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    return tmp_path


def source(project: Path, init: str, sees_folders: bool = True) -> object:
    file = project / "tune.yaml"
    text = PIPELINE.format(task="supervised", init=init, rest="epochs: 1\n      batch_size: 8")
    file.write_text(text)
    plan = compile_pipeline(load(file, ()), "tune-1", project / "runs", sees_folders=sees_folders)
    (job,) = (job for job in plan.jobs if job.name == "tune")
    return job.config["model"]["init"]["source"]


@pytest.mark.parametrize(
    ("init", "found"),
    [
        ("plain", "{project}/plain"),
        ("./plain.pth", "{project}/plain.pth"),
        ('"${jobs.pretrain.outputs.model}"', "{project}/runs/tune-1/jobs/pretrain/outputs"),
        ("timm", "timm"),
        ("hf-hub:lab/tiny@v1", "hf-hub:lab/tiny@v1"),
        ("run:old-1/pretrain", "run:{project}/runs/old-1/pretrain"),
        ("run:runs/old-1/pretrain@40", "run:{project}/runs/old-1/pretrain@40"),
        ("{source: run:old-1/pretrain@best, weights: student}", "run:{project}/runs/old-1/pretrain@best"),
    ],
)
def test_a_source_is_what_the_job_finds(project: Path, init: str, found: str) -> None:
    assert source(project, init) == found.format(project=project)


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("plaim", "no such file or folder; did you mean 'plain'?"),
        ("empty", "holds no file of weights"),
        ("notes.txt", "weights are in files that end with .safetensors"),
        ("hf-hub:tiny", "write hf-hub:OWNER/NAME"),
        ("https://x/y.pth", "is a URL"),
        ("run:pretrain", "write run:RUN/JOB"),
        ("run:old-2/pretrain", "no run 'old-2' in {project}/runs; did you mean 'old-1'?"),
        ("run:old-1/pretrian", "no job 'pretrian' in run old-1; did you mean 'pretrain'?"),
        ("run:old-1/compare", "compare of run old-1 has left no model"),
        ("run:old-1/compare@best", "has no checkpoint @best; there are none"),
        ("run:old-1/pretrain@41", "has no checkpoint @41; there are those of steps 40"),
        ("run:tune-1/pretrain", "of this run itself; write ${{jobs.pretrain.outputs.model}}"),
        ("{source: plain, weights: both}", "expected one of ema, teacher, student, model, got 'both'"),
    ],
)
def test_what_is_not_there_is_told_with_its_place(project: Path, init: str, words: str) -> None:
    with pytest.raises(PipelineError) as error:
        source(project, init)
    assert words.format(project=project) in str(error.value)
    assert f"{project}/tune.yaml:10:" in str(error.value)


def test_pods_see_no_folder_of_this_machine(project: Path) -> None:
    assert source(project, "/mnt/none", sees_folders=False) == "/mnt/none"
    assert source(project, "run:none-1/pretrain", sees_folders=False) == f"run:{project}/runs/none-1/pretrain"
    for init in ("plain", "run:runs/old-1/pretrain", "~/plain.pth"):
        with pytest.raises(PipelineError, match="jobs see no folder of this machine"):
            source(project, init, sees_folders=False)


def test_a_frozen_backbone_is_named_in_one_way(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    text = "name: x\njobs:\n  knn: {{task: knn, config: {{data: {{train: /t.beton, val: /v.beton}}{more}}}}}\n"
    refusals = {
        "": "give one of the two",
        ", backbone: /b, model: {name: vit_tiny_patch16_224, init: timm}": "give one of the two",
        ", model: {name: vit_tiny_patch16_224}": "no backbone begins with new weights here, so say which it has",
    }
    for more, words in refusals.items():
        file.write_text(text.format(more=more))
        with pytest.raises(PipelineError, match=words):
            compile_pipeline(load(file, ()), "x-1", tmp_path)
    file.write_text(text.format(more=", model: {name: vit_tiny_patch16_224, init: timm}"))
    (job,) = compile_pipeline(load(file, ()), "x-1", tmp_path).jobs
    assert "backbone" not in job.config and job.config["model"]["init"]["source"] == "timm"
