"""Models that jobs have left, and a hub to push them to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from launcher.runs.folder import RunFolder
from support import shared_runs, trained_models
from support.hub_server import Hub, hub_server

TOKEN = "hf_of_this_test"


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of `trained_models`."""
    root = tmp_path_factory.mktemp("models")
    trained_models.write(root)
    return root


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
