"""Models and pictures of several sizes."""

from pathlib import Path

import pytest

from support import pictures, trained_models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of `trained_models`."""
    root = tmp_path_factory.mktemp("models")
    trained_models.write(root)
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two of one size in a row, one in a folder, and a broken one between them."""
    folder = tmp_path / "photos"
    for name, width, height in (("a", 40, 30), ("b", 40, 30), ("trip/d", 101, 33)):
        file = folder / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pictures.jpeg(len(name), width, height))
    (folder / "c.png").write_bytes(b"nothing")
    return folder
