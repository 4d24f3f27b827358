"""Segmentation jobs as a user runs them: an ADE20K tree is converted, a head trained on two ranks, killed, resumed."""

import csv
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

import locat
from locat.contract.job_folder import JobFolder
from locat.data import beton
from locat.data.datasets.ade20k import ade20k
from locat.models.create import load_backbone
from locat.models.segmentation_head import SegmentationHead
from support import segmentation_sets, training

pytestmark = pytest.mark.slow

ITERATIONS = 8
INTO = (160, 40)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("ade") / "ADEChallengeData2016"
    segmentation_sets.ade20k(source, train=12, val=9, labels=np.array([0, 1, 5, 77, 150]))
    return source


@pytest.fixture(scope="module")
def data(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("convert")
    for split, pairs in ade20k(tree, complete=False).items():
        beton.write(folder / f"{split}.beton", pairs, 1, lambda done: None)
    return {split: str(folder / f"{split}.beton") for split in ("train", "val")}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.save_tiny(tmp_path_factory.mktemp("backbone"))


def segment(data: dict[str, str], backbone: Path, **changes: Any) -> dict[str, Any]:
    return {
        "task": "segment",
        "data": data,
        "backbone": str(backbone),
        "iterations": ITERATIONS,
        "batch_size": 4,
        "optimizer": {"lr": 0.01, "weight_decay": 0.01, "clip_grad": 0.0},
        "augment": {"name": "benchmark", "resize": list(INTO), "crop": 36},
        "hidden_dim": 16,
        "precision": "fp32",
        "log_every": 1,
        "checkpoints": {"every_steps": 2},
        **changes,
    }


@pytest.fixture(scope="module")
def finished(data: dict[str, str], backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("segment")
    training.write_config(folder, segment(data, backbone, evaluate_iterations=4))
    training.run(folder, ranks=2)
    return folder


def test_the_scores_are_those_of_a_literal_evaluation_of_the_original_files(
    tree: Path, backbone: Path, finished: Path
) -> None:
    model = load_backbone(backbone)[0].eval()
    head = SegmentationHead(24, 16, 150)
    head.load_state_dict(load_file(JobFolder(finished).outputs / "head.safetensors"))
    counts = np.zeros((150, 150), np.int64)
    for path in sorted((tree / "images" / "validation").iterdir()):
        labels = np.asarray(Image.open(tree / "annotations" / "validation" / f"{path.stem}.png")).astype(int)
        image = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
        height, width = labels.shape
        scale = min(max(INTO) / max(height, width), min(INTO) / min(height, width))
        small = (int(height * scale + 0.5), int(width * scale + 0.5))
        image = V.normalize(V.resize(image, small, antialias=False) / 255, IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        image = F.pad(image, (0, -small[1] % 8, 0, -small[0] % 8))
        with torch.no_grad():
            features = model.forward_intermediates(image[None], indices=1, norm=False, intermediates_only=True)[0]
            logits = F.interpolate(head(features), small, mode="bilinear")  # by the release: not of the padded size
            prediction = F.interpolate(logits, (height, width), mode="bilinear").argmax(1)[0].numpy()
        for truth, predicted in zip(labels.flatten() - 1, prediction.flatten(), strict=True):
            if truth >= 0:
                counts[truth, predicted] += 1
    rows = list(csv.DictReader((JobFolder(finished).outputs / "classes.csv").open()))
    assert [int(row["true_pixels"]) for row in rows] == counts.sum(axis=1).tolist()
    # PIL and torchvision decode a JPEG alike but for single levels, which decide a pixel here and there.
    difference = np.abs(np.array([int(row["predicted_pixels"]) for row in rows]) - counts.sum(axis=0)).sum()
    assert difference <= 0.002 * counts.sum()
    with np.errstate(invalid="ignore"):
        iou = counts.diagonal() / (counts.sum(0) + counts.sum(1) - counts.diagonal())
    scores = json.loads(JobFolder(finished).results.read_text())["metrics"]
    assert scores["miou"] == pytest.approx(100 * np.nanmean(iou), abs=0.2)
    assert scores["aacc"] == pytest.approx(100 * counts.trace() / counts.sum(), abs=0.2)
    found = training.metrics(finished, "val/miou")
    assert found.keys() == {4, ITERATIONS} and scores["miou"] == found[ITERATIONS]
    assert json.loads(JobFolder(finished).results.read_text())["best"]["miou"] == max(found.values())


def test_predicting_the_original_files_finds_what_the_job_found(tree: Path, finished: Path) -> None:
    job, files = JobFolder(finished), sorted((tree / "images" / "validation").iterdir())
    model = locat.Model.from_folder(job.outputs)
    counts = np.zeros(150, int)
    for file, mask in zip(files, model.segment(files), strict=True):
        truth = np.asarray(Image.open(tree / "annotations" / "validation" / f"{file.stem}.png"))
        counts += np.bincount(mask[truth > 0], minlength=150)
    rows = json.loads((job.outputs / "classes.json").read_text())
    assert [row["class"] for row in rows] == list(model.classes)
    difference = np.abs(counts - [row["predicted_pixels"] for row in rows]).sum()
    assert difference <= 0.002 * counts.sum()  # PIL and torchvision decode a JPEG alike but for single levels


def test_what_it_leaves_to_be_looked_at(finished: Path) -> None:
    job = JobFolder(finished)
    for name in ("overlays", "iou", "confusion"):
        assert (job.figures / f"{name}.png").stat().st_size > 10_000
    rows = json.loads((job.outputs / "classes.json").read_text())
    assert [row["class"] for row in rows][:2] == ["wall", "building"]
    absent = [row for row in rows if row["true_pixels"] == 0 and row["predicted_pixels"] == 0]
    assert absent and all(row["iou"] is None for row in absent)
    present = [row["iou"] for row in rows if row["iou"] is not None]
    assert sum(present) / len(present) == pytest.approx(json.loads(job.results.read_text())["metrics"]["miou"])


def test_killed_and_run_again_it_ends_as_if_nothing_had_happened(
    data: dict[str, str], backbone: Path, finished: Path, tmp_path: Path
) -> None:
    training.write_config(tmp_path, segment(data, backbone, evaluate_iterations=4))
    running = subprocess.Popen(training.command(tmp_path, ranks=2), env=training.environment(tmp_path))
    while not list((tmp_path / "checkpoints").glob("step-*")):
        assert running.poll() is None, training.log(tmp_path)
        time.sleep(0.02)
    for process in [*psutil.Process(running.pid).children(recursive=True), running]:
        process.send_signal(signal.SIGKILL)
    running.wait()
    assert not JobFolder(tmp_path).results.exists()
    training.run(tmp_path, ranks=2)
    ours, theirs = (load_file(JobFolder(folder).outputs / "head.safetensors") for folder in (tmp_path, finished))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert JobFolder(tmp_path).results.read_text() == JobFolder(finished).results.read_text()
