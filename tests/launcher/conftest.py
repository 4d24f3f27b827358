"""Settings of the launcher's tests."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def slots_of_this_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cores and GPUs that no other run of this machine holds."""
    folder = tmp_path_factory.mktemp("slots")
    monkeypatch.setenv("LOCAT_SLOTS_DIR", str(folder))
    return folder
