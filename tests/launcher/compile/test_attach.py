"""`model.attach` in a pipeline: what a job is told."""

from pathlib import Path

import pytest

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load

PIPELINE = """\
name: tune
jobs:
  tune:
    task: {task}
    config:
      model: {{name: deit_tiny_patch16_224, init: timm, attach: {attach}}}
      data: {{train: /d/t.beton, val: /d/v.beton}}
"""
TRAINED = "      epochs: 1\n      batch_size: 8\n"


def compiled(folder: Path, task: str, attach: str = "{}") -> object:
    file = folder / "tune.yaml"
    text = PIPELINE.format(task=task, attach=attach)
    file.write_text(text + (TRAINED if task in ("supervised", "dino") else ""))
    (job,) = compile_pipeline(load(file, ()), "tune-1", folder / "runs").jobs
    return job.config["model"].get("attach")


@pytest.mark.parametrize("task", ["supervised", "dino", "knn", "hummingbird"])
def test_a_job_is_told_all_of_it(task: str, tmp_path: Path) -> None:
    assert compiled(tmp_path, task) == {"gaug": True, "prr": True, "init": "identity"}
    given = {"gaug": True, "prr": False, "init": "paper"}
    assert compiled(tmp_path, task, attach="{prr: false, init: paper}") == given
    assert compiled(tmp_path, task, attach="null") is None
