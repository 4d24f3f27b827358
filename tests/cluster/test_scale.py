"""A matrix of jobs under Kueue's quota on nodes that only pretend; `python -m cluster.scale` does it with 1,000."""

import pytest

from .scale import Size, measure
from .site import Site

pytestmark = [pytest.mark.cluster, pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_no_job_is_lost_or_run_twice(site: Site) -> None:
    size = Size(nodes=20, singles=30, chains=5, quota=80)
    found = measure(site, size)
    print(found)
    assert found["jobsets"] == size.jobs
    assert found["run_twice"] == 0
    assert found["requests_for_jobsets"]["APPLY"] <= size.jobs + 2  # once each, and the trials before submitting
