"""A real MLflow server for all tests of tracking: it takes seconds to start."""

from collections.abc import Iterator

import pytest

from support.mlflow_server import Proxy, Server, mlflow_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    started = Proxy(server)
    yield started
    started.down()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    from locat.engine.tracking import sender

    for name, seconds in {"HEAD_START": 0.0, "INTERVAL": 0.05, "LONGEST_INTERVAL": 0.2, "PAUSE_AT_END": 0.1}.items():
        monkeypatch.setattr(sender, name, seconds)
