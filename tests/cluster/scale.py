"""A run of many jobs on many nodes that only pretend: what that costs us, and whether a job is lost or run twice.

    PYTHONPATH=tests python -m cluster.scale

Training lands on kwok's nodes, whose pods end at once; each `advance` is a real pod of the real image. Needs the
image (tests/support/project_image.py), takes about a quarter of an hour on 2 cores, and writes benchmarks/results/.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.backends import look
from launcher.runs.find import list_runs
from launcher.runs.folder import RunFolder
from support import project_image

from .cluster import Cluster
from .site import IMAGE, Site, make_site

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "kubernetes-scale.json"
PATIENCE = 3000.0
"""Seconds."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    nodes: int
    singles: int
    chains: int
    """Chains of two jobs."""
    quota: int
    """GPUs that Kueue gives at once."""

    @property
    def jobs(self) -> int:
        return self.singles + 2 * self.chains


FULL = Size(nodes=1000, singles=800, chains=100, quota=4000)


def measure(site: Site, size: Size) -> dict[str, Any]:
    """Submit such a run, see it to its end, and ask about it."""
    site.cluster.install_kueue()
    site.cluster.add_kwok_nodes(size.nodes, gpus=8)
    _give_quota(site, size.quota)
    pipeline = site.here / "scale.yaml"
    pipeline.write_text(yaml.safe_dump(_pipeline(size), sort_keys=False))
    before = _requests(site.cluster)
    submitted = _launcher(site, "submit", str(pipeline), "--backend", "kubernetes")
    (run,) = list_runs(site.here)
    status = _launcher(site, "status", "--json")
    deadline = time.monotonic() + PATIENCE
    while not look(run, run.plan()).ended:
        assert time.monotonic() < deadline, site.kubectl("get", "pods", "--field-selector=status.phase!=Succeeded")
        time.sleep(5)
    view = look(run, run.plan())
    assert {str(job.status) for job in view.jobs} == {"done"}
    assert len(view.jobs) == size.jobs
    jobsets = json.loads(site.kubectl("get", "jobsets", "-o", "json"))["items"]
    pods = json.loads(site.kubectl("get", "pods", "-o", "json"))["items"]
    per_job = Counter(
        (pod["metadata"]["annotations"]["locat.dev/job"], pod["metadata"]["labels"]["app.kubernetes.io/component"])
        for pod in pods
    )
    made = [datetime.fromisoformat(each["metadata"]["creationTimestamp"]) for each in jobsets]
    return {
        "jobs": size.jobs,
        "nodes": size.nodes,
        "jobsets": len(jobsets),
        "run_twice": sum(count > 1 for (_, component), count in per_job.items() if component == "train"),
        "submit": submitted,
        "from_first_to_last_jobset_s": (max(made) - min(made)).total_seconds(),
        "status_while_it_runs": status,
        "status_at_the_end": _status_anew(site, run),
        "requests_for_jobsets": _difference(before, _requests(site.cluster)),
    }


def _pipeline(size: Size) -> dict[str, Any]:
    config = {"backbone": "/models/vit", "data": {"train": "/data/train.beton", "val": "/data/val.beton"}}

    def job(count: int, **more: Any) -> dict[str, Any]:
        return {"task": "knn", "matrix": {"seed": list(range(count))}, "config": config, **more}

    return {
        "name": "scale",
        "tracking": {"uri": "sqlite:////runs/mlflow.db"},
        "defaults": {
            "image": IMAGE,
            "resources": {"gpus": 8, "memory": "1G"},
            "options": {"kubernetes": {"queue": "scale"}},
        },
        "jobs": {
            "single": job(size.singles),
            **({"before": job(size.chains), "after": job(size.chains, needs=["before"])} if size.chains else {}),
        },
    }


def _status_anew(site: Site, run: RunFolder) -> dict[str, float]:
    """`status` as on a machine that has not looked yet."""
    (run.path / "ended.json").unlink()
    return _launcher(site, "status", "--json")


def _give_quota(site: Site, gpus: int) -> None:
    resources = {"cpu": 100_000, "memory": "100Ti", "nvidia.com/gpu": gpus}
    flavor = {"name": "scale", "resources": [{"name": k, "nominalQuota": v} for k, v in resources.items()]}
    specs: dict[str, dict[str, Any]] = {
        "ResourceFlavor": {},
        "ClusterQueue": {
            "namespaceSelector": {},
            "resourceGroups": [{"coveredResources": list(resources), "flavors": [flavor]}],
        },
        "LocalQueue": {"clusterQueue": "scale"},
    }
    for kind, spec in specs.items():
        manifest = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": "scale"}}
        site.kubectl("apply", "-f", "-", input=yaml.safe_dump({**manifest, **({"spec": spec} if spec else {})}))


def _launcher(site: Site, *arguments: str) -> dict[str, float]:
    """Seconds and peak memory of the command line."""
    measured = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=2);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    command = [sys.executable, "-c", measured, sys.executable, "-m", "launcher", *arguments]
    start = time.perf_counter()
    done = subprocess.run(
        command, env={**os.environ, "LAUNCHER_RUNS": str(site.here)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {"seconds": round(time.perf_counter() - start, 2), "peak_mb": round(int(done.stdout) * 1024 / 1e6)}


def _requests(cluster: Cluster) -> Counter[str]:
    """How often the API server was asked about JobSets, by verb: ours, and the controllers'."""
    lines = cluster.kubectl("get", "--raw", "/metrics").splitlines()
    found: Counter[str] = Counter()
    for line in lines:
        if line.startswith("apiserver_request_total") and 'resource="jobsets"' in line and 'subresource=""' in line:
            verb = re.search(r'verb="(\w+)"', line)
            found[verb[1] if verb else ""] += int(float(line.split()[-1]))
    return found


def _difference(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    return {verb: count - before[verb] for verb, count in sorted(after.items()) if count > before[verb]}


def record(cluster: Cluster) -> None:
    """Measure in full on a cluster that has the image, and keep what was found."""
    machine = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as here, pytest.MonkeyPatch.context() as patch:
        site = make_site(cluster, "scale", Path(here))
        with site.current(patch):
            found = measure(site, FULL)
    text = json.dumps({"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **found}, indent=1)
    RESULT.write_text(text + "\n")
    print(text)


def main() -> None:
    cluster = Cluster()
    cluster.start()
    try:
        cluster.import_image(project_image.built(), IMAGE)
        record(cluster)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main()
