"""The plan as ConfigMaps, and back: what a run's pods read instead of a folder that submitted it."""

import re
from pathlib import Path
from typing import Any

from launcher.backends.kubernetes import names
from launcher.plan import Plan
from locat.contract.records import FormatError

LARGEST = 900_000
"""Bytes of a plan in one ConfigMap; the API server takes no more than a MiB."""
CANCELLED = "cancelled"
"""Of the data of a plan's first ConfigMap: names of cancelled jobs, one a line."""
ELSEWHERE = "# Submitted from elsewhere: the run folder there has the pipeline as it was written.\n"
"""What stands for a run's pipeline.yaml where only its plan is known."""
_FOLDER = re.compile(r"\w[\w.-]*")


def config_maps(plan: Plan) -> list[dict[str, Any]]:
    """The plan's ConfigMaps."""
    labels = {**names.PART_OF, names.RUN_LABEL: plan.run_id}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": names.plan(plan.run_id, number), "labels": labels},
            "data": {f"plan.{number:04d}.json": piece},
        }
        for number, piece in enumerate(_pieces(plan))
    ]


def from_data(data: dict[str, str]) -> Plan:
    """The plan from the data of its ConfigMaps, put together."""
    return Plan.from_json("".join(data[key] for key in sorted(data) if key.startswith("plan.")))


def of_others(run_id: str, data: dict[str, str]) -> Plan | None:
    """The plan from ConfigMaps that anybody may have made; None if it is not whole, or none that `render` writes
    (nor any of a newer version)."""
    try:
        plan = from_data(data)
    except FormatError:
        return None
    rendered = (plan.run_id, plan.backend, plan.folder) == (run_id, "kubernetes", names.POD_RUNS / run_id)
    return plan if rendered and all(_FOLDER.fullmatch(job.name) for job in plan.jobs) else None


def from_folder(folder: Path) -> Plan:
    """The plan from its ConfigMaps, mounted as a folder."""
    return from_data({file.name: file.read_text() for file in folder.glob("plan.*")})


def cancelled_in(folder: Path) -> frozenset[str]:
    """The jobs that were cancelled before this pod began, from the same folder."""
    file = folder / CANCELLED
    return frozenset(file.read_text().splitlines() if file.exists() else ())


def _pieces(plan: Plan) -> list[str]:
    """The plan's text, cut between lines."""
    pieces: list[str] = []
    size = LARGEST
    for line in plan.to_json().splitlines(keepends=True):
        length = len(line.encode())
        if size + length > LARGEST:
            pieces.append("")
            size = 0
        pieces[-1] += line
        size += length
    return pieces
