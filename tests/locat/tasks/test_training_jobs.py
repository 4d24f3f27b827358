"""Real training jobs: the strategies agree, a preempted job goes on, mistakes end with exit code 2."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

import locat
import locat.models
from locat.contract.checkpoint_folder import complete, read_metrics
from locat.contract.job_folder import ExitCode, JobFolder
from locat.contract.usage import CHECKPOINTING, COMPUTING, EVALUATING, IDLE, WAITING, WORK, UsageRecord
from locat.data.beton import open_manifest
from locat.data.order import sorted_order
from locat.data.stored import Stored
from locat.predict.pictures import named
from support import training

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
"""Relative, on the loss after up to 12 steps: the strategies add up the same gradients in another order."""


@pytest.fixture(scope="module")
def fsdp(data: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pretraining job of two ranks, by the default strategy."""
    folder = tmp_path_factory.mktemp("fsdp")
    training.write_config(folder, training.supervised(data))
    training.run(folder, ranks=2)
    return folder


@pytest.mark.parametrize("strategy", ["ddp", {"name": "deepspeed", "zero_stage": 3}], ids=str)
def test_every_strategy_gives_the_same_losses(
    strategy: object, data: dict[str, str], fsdp: Path, tmp_path: Path
) -> None:
    training.write_config(tmp_path, training.supervised(data, strategy=strategy))
    training.run(tmp_path, ranks=2)
    for name in ("train/loss", "train/grad_norm"):
        expected = training.metrics(fsdp, name)
        assert len(expected) == 12
        assert training.metrics(tmp_path, name) == pytest.approx(expected, rel=TOLERANCE)
    assert training.metrics(tmp_path, "val/top1").keys() == {4, 8, 12}


def test_one_rank_gives_the_losses_of_two(data: dict[str, str], fsdp: Path, tmp_path: Path) -> None:
    training.write_config(tmp_path, training.supervised(data))
    training.run(tmp_path)
    expected = training.metrics(fsdp, "train/loss")
    assert training.metrics(tmp_path, "train/loss") == pytest.approx(expected, rel=TOLERANCE)
    # 33 scenes over batches of 24: no rank count may count one twice or leave one out.
    for name in ("val/top1", "val/top5"):
        assert training.metrics(tmp_path, name) == pytest.approx(training.metrics(fsdp, name), abs=1e-3)


def test_models_whose_cls_cannot_be_drawn_end_well(data: dict[str, str], tmp_path: Path) -> None:
    args = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": [1, 1], "num_heads": [1, 2]}
    model = {"name": "locatswin_tiny", "args": {**args, "num_classes": 10}}
    training.write_config(tmp_path, training.supervised(data, model=model, epochs=1))
    training.run(tmp_path)
    assert (JobFolder(tmp_path).outputs / "model.safetensors").exists()
    assert not (JobFolder(tmp_path).figures / "attention.png").exists()


def test_what_it_leaves_is_a_model_that_timm_loads(fsdp: Path) -> None:
    outputs = JobFolder(fsdp).outputs
    model = timm.create_model(f"local-dir:{outputs}", pretrained=True).eval()
    weights = load_file(outputs / "model.safetensors")
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    results = json.loads(JobFolder(fsdp).results.read_text())
    assert results["model"] == "locatvit_tiny"
    found = training.metrics(fsdp, "val/top1")
    assert results["metrics"]["top1"] == max(found.values()) and results["last"]["top1"] == found[12]
    for name in ("attention.png", "batch.png"):
        assert (JobFolder(fsdp).figures / name).stat().st_size > 10_000


def test_predicting_the_evaluation_set_finds_what_the_job_found(data: dict[str, str], fsdp: Path) -> None:
    model = locat.Model.from_folder(JobFolder(fsdp).outputs)
    stored = Stored(Path(data["val"]))
    found = model.classify(picture.open(upright=False).image for picture in named([data["val"]]))
    right = found.argmax(1).numpy() == stored.labels(np.arange(len(stored)))
    expected = json.loads(JobFolder(fsdp).results.read_text())["last"]["top1"]
    assert 100 * right.mean() == pytest.approx(expected, abs=1e-3)
    assert model.classes == open_manifest(Path(data["val"])).contents.classes


def test_the_share_of_time_spent_waiting_for_data_is_logged(fsdp: Path) -> None:
    shares = training.metrics(fsdp, "throughput/data_wait").values()
    assert len(shares) == 12
    assert all(0 <= share <= 1 for share in shares)


def test_what_its_time_went_to_is_told_and_logged(fsdp: Path) -> None:
    record = UsageRecord.read(fsdp / "attempt")
    assert record is not None and (record.step, record.phase) == (12, IDLE)
    assert min(record.seconds[phase] for phase in (COMPUTING, WAITING, EVALUATING, CHECKPOINTING)) > 0
    logged = {phase: training.metrics(fsdp, f"usage/{phase}_seconds")[12] for phase in WORK}
    assert logged == pytest.approx(record.seconds, abs=5), "writing the model takes a moment more"


def test_a_job_that_is_done_does_nothing(fsdp: Path) -> None:
    before = JobFolder(fsdp).metrics.read_bytes()
    training.run(fsdp)
    assert "done already" in training.log(fsdp)
    assert JobFolder(fsdp).metrics.read_bytes() == before


def test_a_preempted_job_goes_on_as_if_nothing_had_happened(data: dict[str, str], tmp_path: Path) -> None:
    alone, stopped = tmp_path / "alone", tmp_path / "stopped"
    recipe = {"precision": "bf16", "micro_batch_size": 8, "ema_decay": 0.9, "evaluate_epochs": 5}
    for folder in (alone, stopped):
        training.write_config(folder, training.supervised(data, epochs=25, checkpoints={"every_steps": 7}, **recipe))
    training.run(alone)
    assert training.metrics(alone, "val/top1").keys() == {20, 40, 60, 80, 100}
    training.preempt(stopped, after=5)
    outcome = json.loads((stopped / "attempt" / "outcome.json").read_text())
    assert outcome["exit_code"] == ExitCode.PREEMPTED
    reached = max(training.metrics(stopped, "train/loss"))
    assert reached < 100, "it ended before it could be stopped"
    training.run(stopped)
    assert "resumed from" in training.log(stopped)
    for name in ("train/loss", "train/grad_norm", "val/top1"):
        assert training.metrics(stopped, name) == training.metrics(alone, name)
    assert (JobFolder(stopped).outputs / "model.safetensors").read_bytes() == (
        JobFolder(alone).outputs / "model.safetensors"
    ).read_bytes()


SLOW_EVALUATION = """
import sys, time
from locat.__main__ import leave, main
from locat.tasks.classification.accuracy import Accuracy

def slowly(batches):
    for batch in batches:
        print("evaluates", file=log, flush=True)
        time.sleep(2)
        yield batch

over = Accuracy.over
Accuracy.over = lambda self, batches, classify: over(self, slowly(batches), classify)
log = open(sys.argv.pop(), "a")
leave(main())
"""


def test_a_job_is_preempted_in_the_middle_of_an_evaluation_too(data: dict[str, str], tmp_path: Path) -> None:
    alone, stopped, evaluated = tmp_path / "alone", tmp_path / "stopped", tmp_path / "evaluated"
    for folder in (alone, stopped):
        kept = {"keep": 9, "best": "top1"}
        training.write_config(folder, training.supervised(data, batch_size=8, evaluate_epochs=1, checkpoints=kept))
    training.run(alone)
    slow = [sys.executable, "-c", SLOW_EVALUATION, str(stopped / "config.yaml"), str(evaluated)]
    process = subprocess.Popen(slow, env=training.environment(stopped))
    while not (evaluated.exists() and evaluated.read_text()):
        time.sleep(0.05)
        assert process.poll() is None, training.log(stopped)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == ExitCode.PREEMPTED
    assert len(evaluated.read_text().splitlines()) < 5  # of the batches of 33 images
    assert not training.metrics(stopped, "val/top1")
    training.run(stopped)
    assert training.metrics(stopped, "val/top1") == training.metrics(alone, "val/top1")
    assert JobFolder(stopped).results.read_text() == JobFolder(alone).results.read_text()
    assert judged(stopped) == judged(alone)


def judged(job: Path) -> dict[str, dict[str, float]]:
    """What evaluations found of each checkpoint."""
    return {path.name: read_metrics(path) for path in complete(JobFolder(job).checkpoints)}


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed"])
def test_numbers_that_are_not_finite_end_the_job_with_the_last_good_state_and_name_the_samples(
    strategy: str, data: dict[str, str], tmp_path: Path
) -> None:
    """The first update throws the weights far away, so that the second loss is not finite; the host looks at step 5."""
    wild = {"lr": 1e30, "clip_grad": 0.0}
    changes = {"optimizer": wild, "schedule": {"warmup_epochs": 0, "min_lr": 1e30}, "log_every": 5}
    training.write_config(tmp_path, training.supervised(data, strategy=strategy, **changes))
    training.run(tmp_path, expect=1)
    reason = json.loads((tmp_path / "attempt" / "outcome.json").read_text())["reason"]
    second = sorted_order(96, 0, 0)[24:48].tolist()
    assert reason.startswith("step 2: loss (of each rank: nan)")
    assert f"samples {', '.join(map(str, second))} of {data['train']}; the state before it is saved (step 1)" in reason
    assert "Traceback" not in training.log(tmp_path)
    (checkpoint,) = complete(JobFolder(tmp_path).checkpoints)
    assert checkpoint.name == "step-0000001"
    assert not JobFolder(tmp_path).outputs.joinpath("model.safetensors").exists()


def test_segmentation_trains_a_head_on_the_frozen_backbone(data: dict[str, str], fsdp: Path, tmp_path: Path) -> None:
    config = {"task": "segment", "backbone": str(fsdp / "outputs"), "data": data, "iterations": 6, "batch_size": 24}
    training.write_config(tmp_path, {**config, "log_every": 1})
    before = (JobFolder(fsdp).outputs / "model.safetensors").read_bytes()
    training.run(tmp_path, ranks=2)
    assert (JobFolder(fsdp).outputs / "model.safetensors").read_bytes() == before
    results = json.loads(JobFolder(tmp_path).results.read_text())
    assert results["model"] == "locatvit_tiny"
    assert results["metrics"].keys() == {"miou", "aacc", "macc"}
    losses = training.metrics(tmp_path, "train/loss")
    assert losses[6] < losses[1]
    head = load_file(JobFolder(tmp_path).outputs / "head.safetensors")
    assert head["3.weight"].shape == (11, 512, 1, 1)
    assert (JobFolder(tmp_path).figures / "overlays.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"name": "locatvit_tinny"}}, "did you mean 'locatvit_tiny'"),
        ({"model": {"name": "locatvit_tiny", "args": {"patch": 8}}}, "cannot be built with {'patch': 8}"),
        (
            {"model": {"name": "locatvit_tiny", "args": {**training.TINY_VIT, "num_classes": 7}}},
            "num_classes: the model has 7",
        ),
        ({"batch_size": 200}, "batch_size 200 exceeds the 96 samples"),
        ({"micro_batch_size": 7}, "micro_batch_size 7 does not divide the 24 images"),
        ({"freeze": {"patterns": ["stem.*"]}}, "'stem.*' matches none of the model's"),
        ({"freeze": {"patterns": ["*"]}}, "freeze.patterns: they match all parameters"),
        ({"data": {"train": "nowhere.beton", "val": "nowhere.beton"}}, "nowhere.beton: no such file"),
    ],
)
def test_a_mistake_ends_with_one_clear_line_and_exit_code_2(
    change: dict[str, object], words: str, data: dict[str, str], tmp_path: Path
) -> None:
    training.write_config(tmp_path, {**training.supervised(data), **change})
    training.run(tmp_path, expect=ExitCode.INVALID)
    outcome = json.loads((tmp_path / "attempt" / "outcome.json").read_text())
    assert outcome["exit_code"] == ExitCode.INVALID
    assert words in outcome["reason"]
    assert "Traceback" not in training.log(tmp_path)
    assert not JobFolder(tmp_path).outputs.exists()
