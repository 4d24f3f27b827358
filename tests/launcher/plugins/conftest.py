from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.plugins import staged
from support.own_plugins import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """An empty one; afterwards this process knows nothing of what was in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield Folder(tmp_path / "my folder")
    staged.forget()
