"""Pictures of several sizes."""

from pathlib import Path

import pytest

from support import pictures


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
