"""One small file of digit scenes, shared by the tests that read it."""

from pathlib import Path

import pytest

from locat.data import beton
from locat.data.datasets.digits import DigitScenes


def silent(done: int) -> None:
    pass


@pytest.fixture(scope="session")
def scenes() -> DigitScenes:
    return DigitScenes("train", 50, image_size=32)


@pytest.fixture(scope="session")
def train_beton(scenes: DigitScenes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scenes") / "train.beton"
    beton.write(path, scenes, workers=1, progress=silent)
    return path
