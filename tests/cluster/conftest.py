"""The cluster that all tests here share."""

import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from support import project_image
from support.required import require, space

from .cluster import Cluster
from .host import missing
from .site import IMAGE, Site, make_site

SPACE = 20
"""GB that the image takes on both nodes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the image come last: it is built meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("image") is not None)


@pytest.fixture(scope="session")
def cluster_possible() -> None:
    """Skips where no cluster can be started, and says why; where one is required, that is a failure."""
    require(missing())


@pytest.fixture(scope="session")
def beside() -> Iterator[ThreadPoolExecutor]:
    """What is done beside the first tests, as it is mostly waiting for the disk."""
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture(scope="session")
def no_image() -> str:
    """Why the nodes cannot be given the image, asked before they are; empty if they can."""
    room = (
        SPACE if project_image.has_archive() else SPACE + project_image.SPACE // 2
    )  # of which half is left in the end
    return project_image.missing() or space(Path(tempfile.gettempdir()), room)


@pytest.fixture(scope="session", autouse=True)
def archive(request: pytest.FixtureRequest, beside: ThreadPoolExecutor) -> "Future[Path] | None":
    """The image's archive, made beside the first tests."""
    wanted = any(item.get_closest_marker("image") for item in request.session.items)
    if not wanted or "LOCAT_CLUSTER" in os.environ or missing() or request.getfixturevalue("no_image"):
        return None
    return beside.submit(project_image.built)


@pytest.fixture(scope="session")
def started(
    cluster_possible: None, archive: "Future[Path] | None", beside: ThreadPoolExecutor
) -> Iterator[tuple[Cluster, "Future[None] | None"]]:
    """The cluster, and the image on its way to all nodes."""
    if running := os.environ.get("LOCAT_CLUSTER"):
        yield Cluster.attach(Path(running)), None
        return
    cluster = Cluster()
    cluster.start()
    yield cluster, archive and beside.submit(lambda: cluster.import_image(archive.result(), IMAGE))
    cluster.stop()


@pytest.fixture(scope="session")
def cluster(started: tuple[Cluster, "Future[None] | None"]) -> Cluster:
    """Two nodes with JobSet; a test has a namespace of its own. LOCAT_CLUSTER names a running one (`make cluster`)."""
    return started[0]


@pytest.fixture(scope="session")
def image(started: tuple[Cluster, "Future[None] | None"], no_image: str) -> None:
    """The project's own image, on all nodes."""
    if "LOCAT_CLUSTER" not in os.environ:
        require(no_image)
        assert started[1] is not None
        started[1].result()


@pytest.fixture(scope="module")
def site_of_file(
    cluster: Cluster, image: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A namespace for the tests of a file, which is the current one meanwhile."""
    name = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    site = make_site(cluster, f"{name}-{time.time_ns() % 10**6}", tmp_path_factory.mktemp(name))
    with pytest.MonkeyPatch.context() as patch, site.current(patch):
        yield site


@pytest.fixture
def site(site_of_file: Site) -> Iterator[Site]:
    """The same; what a test leaves running ends with it."""
    yield site_of_file
    site_of_file.kubectl("delete", "jobsets", "--all", "--wait=false")
