"""Segmentation by retrieval: the arithmetic against literal loops, and whole jobs."""

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from locat.config import HummingbirdConfig
from locat.contract.errors import ConfigError, Preempted
from locat.contract.job_folder import JobFolder
from locat.data import beton, counter
from locat.data.datasets.ade20k import ade20k
from locat.data.datasets.digits import DigitScenes
from locat.data.datasets.image_folder import image_folder
from locat.data.joint import resize_mask
from locat.data.loader import Loader
from locat.data.pairs import Pairs
from locat.data.reader import ReadSettings
from locat.engine.distributed import join_ranks
from locat.engine.evaluation import Watch
from locat.tasks.segmentation.hummingbird import hummingbird
from locat.tasks.segmentation.memory_bank import MemoryBank, class_shares
from locat.tasks.segmentation.retrieval import Retrieval
from locat.tasks.segmentation.scores import Confusion, segmentation_scores
from support import pictures, segmentation_sets, training

CLASSES = 5
LABELS = [1, 5, 77, 150]
DATA = ("digits", "ade20k")


def random_images(count: int, patches: int = 12, dim: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers, features and class shares of images; of some patches nothing is known."""
    generator = torch.Generator().manual_seed(seed)
    features = F.normalize(torch.randn(count, patches, dim, generator=generator), dim=2)
    shares = torch.rand(count, patches, CLASSES, generator=generator)
    shares *= torch.rand(shares.shape, generator=generator) < 0.3
    return torch.arange(count), features, shares / shares.sum(dim=2, keepdim=True).clamp(min=1e-9)


def filled(count: int = 6, per_image: int = 12, seed: int = 0) -> MemoryBank:
    bank = MemoryBank(count, per_image, 8, CLASSES)
    bank.add(*random_images(count), seed)
    bank.gather()
    return bank


def test_a_query_gets_the_mean_of_its_nearest_patches_weighted_by_softmax() -> None:
    bank = filled()
    features, shares = bank.features.double().numpy(), bank.shares.double().numpy()
    queries = F.normalize(torch.randn(9, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    index = faiss.IndexFlatIP(8)
    index.add(bank.features.numpy())
    cosine, nearest = (torch.from_numpy(part) for part in index.search(queries.numpy(), 4))
    shares_of_nearest = bank.shares[nearest] * (cosine / 0.02).softmax(dim=1)[..., None]
    torch.testing.assert_close(bank.look_up(queries, 4, 0.02), shares_of_nearest.sum(dim=1))
    for neighbours, temperature in ((1, 0.02), (30, 0.02), (7, 0.5)):
        found = bank.look_up(queries, neighbours, temperature)
        for query, row in zip(queries.double().numpy(), found, strict=True):
            cosines = np.array([sum(a * b for a, b in zip(query, feature, strict=True)) for feature in features])
            closest = sorted(range(len(cosines)), key=lambda patch: -cosines[patch])[:neighbours]
            weights = [np.exp((cosines[patch] - cosines[closest[0]]) / temperature) for patch in closest]
            pairs = zip(weights, closest, strict=True)
            expected = sum(weight * shares[patch] for weight, patch in pairs) / sum(weights)
            np.testing.assert_allclose(row, expected, atol=1e-5)


@given(seed=st.integers(0, 10_000), patch=st.sampled_from([1, 2, 4]))
def test_a_patchs_shares_are_those_of_its_known_pixels(seed: int, patch: int) -> None:
    masks = torch.randint(CLASSES, (2, 8, 12), generator=torch.Generator().manual_seed(seed)).byte()
    masks[0, :5, :3] = 255
    found = class_shares(masks, patch, CLASSES)
    for image, mask in enumerate(masks.numpy()):
        for number in range((8 // patch) * (12 // patch)):
            row, column = divmod(number, 12 // patch)
            pixels = mask[row * patch : (row + 1) * patch, column * patch : (column + 1) * patch].flatten()
            known = [label for label in pixels if label != 255]
            expected = [known.count(label) / max(len(known), 1) for label in range(CLASSES)]
            assert found[image, number].tolist() == pytest.approx(expected)


def test_the_patches_kept_are_those_of_the_lowest_class_counts_times_uniform_draws() -> None:
    samples, features, shares = random_images(6)
    bank = filled(per_image=3, seed=4)
    row = 0
    for sample in samples.tolist():
        shown = [{label for label in range(CLASSES) if share[label] > 0} for share in shares[sample]]
        draws = counter.uniform(4, 0, sample * 12 + torch.arange(12), counter.Key.KEPT_PATCH).tolist()
        scores = {
            patch: draw * sum(sum(label in other for other in shown) for label in labels)
            for patch, (labels, draw) in enumerate(zip(shown, draws, strict=True))
            if labels
        }
        for patch in sorted(scores, key=lambda patch: scores[patch])[:3]:
            assert torch.equal(bank.features[row], features[sample, patch])
            assert torch.equal(bank.shares[row], shares[sample, patch])
            row += 1
    assert row == len(bank)


@given(order=st.permutations(range(6)), per_image=st.integers(1, 12), split=st.integers(0, 6))
def test_the_bank_does_not_depend_on_the_order_of_the_images(order: list[int], per_image: int, split: int) -> None:
    images = random_images(6)
    bank = MemoryBank(6, per_image, 8, CLASSES)
    for part in (order[:split], order[split:]):
        bank.add(*(values[part] for values in images), 0)
    bank.gather()
    expected = filled(per_image=per_image)
    assert torch.equal(bank.features, expected.features) and torch.equal(bank.shares, expected.shares)
    known = images[2].any(dim=2).sum(dim=1)
    assert len(bank) == known.clamp(max=per_image).sum()
    assert bank.shares.sum(dim=1).allclose(torch.ones(len(bank)))


def test_closing_up_in_pieces_is_closing_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filled()
    monkeypatch.setattr("locat.tasks.segmentation.memory_bank.ROWS", 2)
    pieces = filled()
    assert torch.equal(pieces.features, whole.features) and torch.equal(pieces.shares, whole.shares)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return training.save_tiny(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Digit scenes of one size, and images of several sizes; of those to learn from, parts are not labelled."""
    folder = tmp_path_factory.mktemp("data")
    tree = folder / "tree"
    for seed, (split, count, labels) in enumerate((("training", 11, [0, *LABELS]), ("validation", 5, LABELS))):
        folders = (tree / kind / split for kind in ("images", "annotations"))
        segmentation_sets.write_pairs(*folders, count, np.array(labels), seed)
    digits = {"train": DigitScenes("train", 15, image_size=32), "val": DigitScenes("val", 7, image_size=32)}
    sets: Mapping[str, Mapping[str, Any]] = {"digits": digits, "ade20k": ade20k(tree, complete=False)}
    found = {name: {split: folder / f"{name}-{split}.beton" for split in ("train", "val")} for name in sets}
    for name, splits in sets.items():
        for split, dataset in splits.items():
            beton.write(found[name][split], dataset, 1, lambda done: None)
    return found


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A job in this process would keep the signals that end a test run."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def config(data: Mapping[str, Path], backbone: Path, **changes: Any) -> dict[str, Any]:
    return {
        "task": "hummingbird",
        "data": {split: str(path) for split, path in data.items()},
        "backbone": str(backbone),
        "image_size": 64,
        "memory_size": 400,
        "neighbours": 5,
        "batch_size": 4,
        "precision": "fp32",
        **changes,
    }


def confusion(folder: Path, config: dict[str, Any]) -> Tensor:
    """What one rank, in this process, comes to."""
    with join_ranks() as ranks:
        job = JobFolder(folder)
        return Retrieval(HummingbirdConfig(**config), job, ranks).confusion(Watch(job, ranks))


@pytest.mark.parametrize("name", DATA)
def test_images_that_are_in_the_bank_get_their_own_labels_back_as_exactly_as_patches_can_tell(
    name: str, data: dict[str, dict[str, Path]], backbone: Path, tmp_path: Path
) -> None:
    val = data[name]["val"]
    found = confusion(tmp_path, config({"train": val, "val": val}, backbone, neighbours=1, memory_size=10_000))
    if name == "digits":
        masks = list(next(Loader(val, ReadSettings(7), target="mask").batches())[0].target)
    else:
        masks = [Pairs(val)[sample][1] for sample in range(5)]
    bound = Confusion(len(found))
    for mask in masks:
        grid = class_shares(resize_mask(mask, (64, 64))[None], 8, len(found)).view(1, 8, 8, -1)
        upsampled = F.interpolate(grid.permute(0, 3, 1, 2), tuple(mask.shape), mode="bilinear")
        bound.add(upsampled.argmax(dim=1).byte(), mask[None])
    assert torch.equal(found, bound.counts)
    assert found.sum() == sum(mask.numel() for mask in masks)
    assert segmentation_scores(found)["miou"] > 0.5


def test_asked_to_stop_it_stops(data: dict[str, dict[str, Path]], backbone: Path, tmp_path: Path) -> None:
    with join_ranks() as ranks:
        job = JobFolder(tmp_path)
        retrieval, watch = (
            Retrieval(HummingbirdConfig(**config(data["digits"], backbone)), job, ranks),
            Watch(job, ranks),
        )
        watch.stopping.request.received = True
        with pytest.raises(Preempted):
            retrieval.measure(watch)


@pytest.mark.slow
def test_a_job_of_two_ranks_comes_to_what_one_comes_to(
    data: dict[str, dict[str, Path]], backbone: Path, tmp_path: Path
) -> None:
    job = JobFolder(tmp_path)
    training.write_config(tmp_path, config(data["digits"], backbone))
    training.run(tmp_path, ranks=2)
    expected = confusion(tmp_path, config(data["digits"], backbone))
    rows = json.loads((job.outputs / "classes.json").read_text())
    assert [row["true_pixels"] for row in rows] == expected.sum(dim=1).tolist()
    # A batch of another size differs in the last bits, which decide a pixel here and there.
    predicted = torch.tensor([row["predicted_pixels"] for row in rows])
    assert (predicted - expected.sum(dim=0)).abs().sum() <= 0.001 * expected.sum()
    results = json.loads(job.results.read_text())
    assert (results["task"], results["model"]) == ("hummingbird", "locatvit_tiny")
    for score, value in segmentation_scores(expected).items():
        assert results["metrics"][score] == pytest.approx(100 * value, abs=0.1)
        assert training.metrics(tmp_path, f"val/{score}") == {0: results["metrics"][score]}
    assert {path.stem for path in job.figures.iterdir()} == {"overlays", "iou", "confusion"}
    before = job.results.stat()
    hummingbird(HummingbirdConfig(**config(data["digits"], backbone)), job)
    assert job.results.stat() == before, "a job that was done did something"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 60}, "image_size 60: is to be a multiple of the 8 pixels of a patch"),
        ({"memory_size": 14}, "memory_size 14: is less than a patch of each of 15 images"),
        ({"memory_size": 30, "neighbours": 31}, "neighbours: 31 are more than the 30 patches kept"),
    ],
)
def test_what_a_user_can_get_wrong(
    changes: dict[str, int], message: str, data: dict[str, dict[str, Path]], backbone: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        confusion(tmp_path, config(data["digits"], backbone, **changes))


def test_a_set_without_masks_is_a_mistake_of_one_line(backbone: Path, tmp_path: Path) -> None:
    pictures.write_tree(tmp_path / "tree", ["cat", "dog"])
    path = tmp_path / "train.beton"
    beton.write(path, image_folder(tmp_path / "tree"), 1, lambda done: None)
    with pytest.raises(ConfigError, match=r"train.beton: its images have no masks"):
        confusion(tmp_path, config({"train": path, "val": path}, backbone))


def test_sets_of_other_classes_are_a_mistake_of_one_line(
    data: dict[str, dict[str, Path]], backbone: Path, tmp_path: Path
) -> None:
    mixed = {"train": data["digits"]["train"], "val": data["ade20k"]["val"]}
    with pytest.raises(ConfigError, match=r"val.beton: its masks have other classes than those of .*train.beton"):
        confusion(tmp_path, config(mixed, backbone))
