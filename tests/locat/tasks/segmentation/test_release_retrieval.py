"""Retrieval by the release's protocol, against a literal evaluation; the matching against all permutations."""

import signal
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as V

from locat.config import HummingbirdConfig
from locat.contract.job_folder import JobFolder
from locat.data import beton
from locat.data.augment.draws import Draws
from locat.data.counter import Key
from locat.data.datasets.ade20k import ade20k
from locat.data.memory_views import MemoryView
from locat.data.pairs import Pairs
from locat.engine.distributed import join_ranks
from locat.engine.evaluation import Watch
from locat.models.create import load_backbone
from locat.models.segmentation_head import patch_dim, patch_features
from locat.tasks.segmentation.release_retrieval import ReleaseRetrieval
from locat.tasks.segmentation.scores import matched
from support import segmentation_sets, training
from support.pil_reference import pictures

SIDE, PATCH, NEIGHBOURS, CLASSES = 64, 8, 5, 151


def test_predicted_classes_are_matched_as_the_best_of_all_permutations() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        counts = random.integers(0, 50, (5, 5))
        counts[:, random.integers(5)] = 0  # a class that is never predicted

        def ious(order: tuple[int, ...], counts: np.ndarray = counts) -> float:
            reordered = counts[:, list(order)]
            hits = reordered.diagonal()
            return float((hits / np.maximum(reordered.sum(0) + reordered.sum(1) - hits, 1)).sum())

        found = matched(torch.from_numpy(counts)).numpy()
        assert ious((0, 1, 2, 3, 4), found) == pytest.approx(max(map(ious, permutations(range(5)))))


def test_a_swin_is_read_at_the_stage_whose_patches_have_16_pixels() -> None:
    arguments = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
    model = timm.create_model("locatswin_tiny", img_size=224, **arguments).eval()
    with torch.no_grad():
        stages = model.forward_intermediates(torch.ones(1, 3, 224, 224), intermediates_only=True)
        found = patch_features(model, torch.ones(1, 3, 224, 224), level=-2)
    assert torch.equal(found, stages[2]) and found.shape == (1, 32, 14, 14)
    assert patch_dim(model, -2) == 32 and model.feature_info[-2]["reduction"] == 16


def test_a_view_is_a_part_of_half_the_image_at_least_with_each_colour_changed_half_the_time() -> None:
    view = MemoryView(32, seed=0)
    columns, rows = torch.meshgrid(torch.arange(200), torch.arange(100), indexing="xy")
    place = torch.stack([columns, rows, 0 * rows]).byte()
    shares, ratios = [], []
    for sample in range(400):
        _, found = view(place, place[0], sample)
        _, down = view(place, place[1], sample)
        width, height = (int(part.max()) - int(part.min()) for part in (found, down))
        shares.append(width * height / 20_000 / (31 / 32) ** 2)
        ratios.append(width / height)
    assert min(shares) > 0.45 and max(shares) > 0.6
    assert min(ratios) > 0.7 and max(ratios) < 1.45
    image = pictures(24, 32)[0]
    unchanged = np.mean([torch.equal(view.vary(image, sample), image) for sample in range(400)])
    assert 0.03 < unchanged < 0.11  # all four left out: 1 / 16


@pytest.mark.parametrize("sample", range(12))
def test_colours_change_as_torchvisions_jitter_in_a_fixed_order(sample: int) -> None:
    draws = Draws(3, 0, torch.tensor([sample]))
    applied = (draws.several(Key.JITTER_APPLIED, 4)[0] < 0.5).tolist()
    by = (0.2 * draws.several(Key.JITTER_FACTOR, 4)[0] - 0.1).tolist()
    image = expected = pictures(24, 32)[0]
    operations = (V.adjust_brightness, V.adjust_contrast, V.adjust_saturation, V.adjust_hue)
    for number, operation in enumerate(operations):
        if applied[number]:
            expected = operation(expected, by[number] + (number < 3))
    found = MemoryView(32, seed=3).vary(image, sample)
    assert (found.int() - expected.int()).abs().float().mean() < 1.5


@pytest.fixture
def handlers() -> Iterator[None]:
    """A job in this process would keep the signals that end a test run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_the_whole_evaluation_is_the_scripts(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    labels = np.array([0, 1, 5, 77, 150])
    segmentation_sets.ade20k(tree, train=7, val=5, labels=labels)
    data = {split: tmp_path / f"{split}.beton" for split in ("train", "val")}
    for split, pairs in ade20k(tree, complete=False).items():
        beton.write(data[split], pairs, 1, lambda done: None)
    training.save_tiny(tmp_path)
    config = HummingbirdConfig.model_validate(
        {
            "task": "hummingbird",
            "protocol": "release",
            "data": {split: str(path) for split, path in data.items()},
            "backbone": str(tmp_path),
            "image_size": SIDE,
            "neighbours": NEIGHBOURS,
            "batch_size": 2,
        }
    )
    with join_ranks() as ranks:
        job = JobFolder(tmp_path)
        retrieval = ReleaseRetrieval(config, job, ranks)
        found = retrieval.confusion(Watch(job, ranks))
        scores = retrieval._scores(retrieval._settled(found))

    backbone = load_backbone(tmp_path)[0].eval()

    def features(image: torch.Tensor) -> torch.Tensor:
        values = V.normalize(image[None] / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.255])
        with torch.no_grad():
            return backbone.forward_intermediates(values, indices=1, norm=False, intermediates_only=True)[0]

    memory, shares = [], []
    stored = Pairs(data["train"])
    for sample in range(len(stored)):
        image, mask = MemoryView(SIDE, 0)(*stored[sample], sample)
        raw = torch.where(mask == 255, 0, mask.int() + 1)  # the labels of the file: 0 is "other"
        memory.append(features(image)[0].flatten(1).T)
        cells = raw.unfold(0, PATCH, PATCH).unfold(1, PATCH, PATCH).reshape(-1, PATCH**2)
        shares.append(F.one_hot(cells.long(), CLASSES).float().mean(dim=1))
    keys, values = F.normalize(torch.cat(memory)), torch.cat(shares)
    assert len(retrieval.bank) == len(keys) == 7 * 64
    expected = np.zeros((CLASSES, CLASSES), np.int64)
    stored = Pairs(data["val"])
    for sample in range(len(stored)):
        image, mask = stored[sample]
        small = V.resize(image, [SIDE, SIDE], antialias=True)
        raw = torch.where(mask == 255, 0, mask.int() + 1)
        truth = F.interpolate(raw[None, None].float(), (SIDE, SIDE), mode="nearest")[0, 0].long()
        queries = features(small)[0].flatten(1).T
        nearest = (queries @ keys.T).topk(NEIGHBOURS).indices  # of queries that are not normalised
        cosine = (F.normalize(queries)[:, None] * keys[nearest]).sum(-1)
        labels_hat = ((cosine / 0.02).softmax(-1)[..., None] * values[nearest]).sum(1).T.view(1, CLASSES, 8, 8)
        prediction = F.interpolate(labels_hat, (SIDE, SIDE), mode="bilinear").argmax(1)[0]
        known = truth != 0
        np.add.at(expected, (truth[known].numpy(), prediction[known].numpy()), 1)
    assert found.sum() == expected.sum()
    assert np.abs(found.numpy() - expected).sum() <= 0.01 * expected.sum()
    union = expected.sum(0) + expected.sum(1)[:, None] - expected
    ious = expected / np.maximum(union, 1e-8)
    rows, columns = linear_sum_assignment(1 - ious)
    assert scores["miou"] == pytest.approx(ious[rows, columns].sum() / CLASSES, abs=2e-4)
    assert found[0].sum() == 0  # "other" is never true, but counts as a class with IoU 0
