"""The loader before a GPU; apart from its other tests, which need the whole of FFCV."""

from pathlib import Path

import pytest
import torch

from locat.data.loader import Loader
from locat.data.reader import ReadSettings

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: run on a machine that has one"),
]


def test_the_batches_are_the_same(train_beton: Path) -> None:
    here = Loader(train_beton, ReadSettings(12), train=True).batches()
    there = Loader(train_beton, ReadSettings(12, device="cuda"), train=True).batches()
    for (one, _), (other, _) in zip(here, there, strict=True):
        assert other.image.is_cuda
        assert torch.equal(one.image, other.image.cpu())
        assert torch.equal(one.target, other.target.cpu())
        assert torch.equal(one.index, other.index)
