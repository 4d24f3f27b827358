import os
from pathlib import Path
from typing import Literal

import pytest
import torch

from locat.config import LinearConfig, SupervisedConfig
from locat.config.augmentation import DinoCrops
from locat.contract.errors import DataError
from locat.data import beton
from locat.data.views import RandomResizedCrop
from locat.tasks import loaders
from locat.tasks.classification import linear, supervised
from locat.tasks.loaders import at_least_one, verify_once
from locat.tasks.self_supervised import dino


def test_a_rank_without_images_gets_a_blank_one() -> None:
    blank = at_least_one(torch.empty(0, 3, 4, 5, dtype=torch.uint8))
    assert blank.shape == (1, 3, 4, 5)
    assert blank.dtype == torch.uint8
    assert not blank.any()


def test_images_pass() -> None:
    images = torch.ones(2, 3, 4, 5)
    assert at_least_one(images) is images


def test_a_digest_is_computed_again_only_where_the_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "train.beton"
    path.write_bytes(b"content")
    sha256 = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    manifest = type("Manifest", (), {"sha256": sha256, "shards": ()})
    calls: list[Path] = []
    monkeypatch.setattr(loaders, "open_manifest", lambda path: manifest)
    monkeypatch.setattr(loaders, "verify_manifest", calls.append)
    verify_once(path)
    verify_once(path)
    assert calls == [path]
    os.utime(path, ns=(1, 1))
    verify_once(path)
    assert calls == [path, path]

    def refuse(path: Path) -> beton.Manifest:
        raise DataError("altered")

    monkeypatch.setattr(loaders, "verify_manifest", refuse)
    os.utime(path, ns=(2, 2))
    for _ in range(2):
        with pytest.raises(DataError):
            verify_once(path)


@pytest.mark.parametrize("decode", ["full", "scaled"])
def test_training_images_are_decoded_as_asked_for(decode: Literal["full", "scaled"]) -> None:
    common = {"data": {"train": "t.beton", "val": "v.beton"}, "batch_size": 2, "epochs": 1}
    model, augment = {"name": "vit_tiny_patch16_224"}, {"name": "imagenet", "decode": decode}
    trained = SupervisedConfig.model_validate({"task": "supervised", "model": model, "augment": augment, **common})
    probed = LinearConfig.model_validate({"task": "linear", "backbone": "b", "decode": decode, **common})
    views = [
        supervised.training_view(trained),
        linear.training_view(probed),
        *dino.training_views(DinoCrops(decode=decode)),
    ]
    assert len(views) == 12
    assert all(isinstance(view, RandomResizedCrop) and view.decode == decode for view in views)
