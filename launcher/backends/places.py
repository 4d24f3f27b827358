"""Where jobs of a backend find the folder of runs and MLflow."""

from pathlib import Path
from typing import NamedTuple

POD_RUNS = Path("/runs")
"""Where pods see the folder of runs: a volume that this machine may not see at all."""
SERVICE = "http://mlflow:5000"
"""The MLflow of k8s/base, as pods of its namespace call it."""


class Places(NamedTuple):
    """As jobs see them."""

    runs: Path
    """Absolute path of the folder of runs."""
    tracking_uri: str
    """Of MLflow, if the pipeline names none; empty: a SQLite store in the folder of runs."""


def places(backend: str, runs: Path) -> Places:
    """Of a backend, for the folder of runs that is `runs` here."""
    return Places(POD_RUNS, SERVICE) if backend == "kubernetes" else Places(runs.resolve(), "")
