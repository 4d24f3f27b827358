"""The plan as ConfigMaps, and back: what a run's pods read instead of a folder that submitted it."""

from pathlib import Path
from typing import Any

from launcher.backends.kubernetes import names
from launcher.plan import Plan

LARGEST = 900_000
"""Bytes of a plan in one ConfigMap; the API server takes no more than a MiB."""

ELSEWHERE = "# Submitted from elsewhere: the run folder there has the pipeline as it was written.\n"
"""What stands for a run's pipeline.yaml where only its plan is known."""


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
    return Plan.from_json("".join(data[key] for key in sorted(data)))


def from_folder(folder: Path) -> Plan:
    """The plan from its ConfigMaps, mounted as a folder."""
    return from_data({file.name: file.read_text() for file in folder.glob("plan.*")})


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
