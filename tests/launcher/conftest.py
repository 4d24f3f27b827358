"""Settings of the launcher's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import slurm_cluster
from support.required import require


@pytest.fixture(autouse=True)
def slots_of_this_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Cores and GPUs that no other run of this machine holds."""
    folder = tmp_path_factory.mktemp("slots")
    monkeypatch.setenv("LOCAT_SLOTS_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm_cluster.Cluster]:
    """A Slurm cluster, which the environment names meanwhile."""
    require(slurm_cluster.missing())
    cluster = slurm_cluster.Cluster(tmp_path_factory.mktemp("slurm"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
