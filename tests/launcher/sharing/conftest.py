"""A run whose jobs have left models, and a hub to push them to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from launcher.runs.folder import RunFolder
from support import shared_runs
from support.hub_server import Hub, hub_server

TOKEN = "hf_of_this_test"


@pytest.fixture
def run(tmp_path: Path, models: Path) -> RunFolder:
    return shared_runs.make(tmp_path / "runs", models)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty one, whose token the environment has; a file has another."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    (tmp_path / "token").write_text("hf_of_a_file")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with hub_server() as found:
        found.token = TOKEN
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        yield found
