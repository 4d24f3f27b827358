"""A power cut takes nothing that a job or a run has said is there."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chaos import jobs
from support import training
from support.power_cut import Naming, Recorder

pytestmark = pytest.mark.slow
MAY_BE_LOST = re.compile(r"progress\.json|tracking\.lock|attempt.*|supervisor\.log|lock")
"""Names of what a run does without: what is only looked at, locks, and the files of attempts."""
CREATE = """\
import pathlib, sys
from support import small_runs
small_runs.make(pathlib.Path(sys.argv[1]), small_runs.job("a"), small_runs.job("b"))
"""
NAME_A_FILE = "import os, sys; os.rename(*sys.argv[1:])"


@pytest.fixture(scope="module")
def backbone(data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    training.write_config(folder, training.supervised(data, epochs=1))
    training.run(folder)
    return folder / "outputs"


def recorded(scratch: Path, config: Mapping[str, Any]) -> list[Naming]:
    """What a job named, in a folder `job`, and what a process names after its end."""
    folder = scratch / "run" / "job"
    training.write_config(folder, config)
    recorder = Recorder(folder.parent, scratch)
    begun, ended = folder.parent / "attempt-begun", folder.parent / "attempt-ended"
    begun.touch()
    recorder.disk_is_as_it_is()
    for command in (training.command(folder), [sys.executable, "-c", NAME_A_FILE, begun, ended]):
        environment = {**training.environment(folder), **recorder.environment}
        process = subprocess.run(command, env=environment, timeout=300, check=False)
        assert process.returncode == 0, training.log(folder)
    return recorder.namings()


def lost_at_the_end(namings: list[Naming]) -> list[Path]:
    """What a power cut would take after the end of it all, of what matters."""
    return sorted(path for path in namings[-1].lost if not any(MAY_BE_LOST.fullmatch(part) for part in path.parts))


def test_a_dataset_is_on_the_disk_before_its_manifest(tmp_path: Path) -> None:
    dataset = {"name": "digits", "train_scenes": 96, "val_scenes": 33, "image_size": 32}
    namings = recorded(tmp_path, {"task": "convert", "dataset": dataset})
    manifests = [naming for naming in namings if naming.new.name.endswith(".beton.json")]
    assert {naming.new.name for naming in manifests} == {"train.beton.json", "val.beton.json"}
    for naming in manifests:
        assert naming.new.with_suffix("") not in naming.lost
    assert lost_at_the_end(namings) == []


@pytest.mark.parametrize("subject", ["supervised-ddp", "dino-zero1", "segment-fsdp"])
def test_a_job_is_on_the_disk_before_it_says_so(
    subject: str, data: dict[str, str], backbone: Path, tmp_path: Path
) -> None:
    namings = recorded(tmp_path, jobs.subjects(data, backbone)[subject])
    checkpoints = [naming for naming in namings if re.fullmatch(r"step-\d+", naming.new.name)]
    assert len(checkpoints) >= 3
    for naming in checkpoints:
        assert naming.loses(naming.old) == []
    (results,) = [naming for naming in namings if naming.new.name == "metrics.json"]
    assert results.loses(results.new.parent) == []
    assert lost_at_the_end(namings) == []


def test_a_run_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    recorder = Recorder(runs, tmp_path)
    recorder.disk_is_as_it_is()
    environment = {**os.environ, **recorder.environment, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", CREATE, runs], env=environment, check=True)
    (created,) = [naming for naming in recorder.namings() if naming.new == runs / "test"]
    assert created.loses(created.old) == []
