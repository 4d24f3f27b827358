"""A plan that anybody may have written is shown, or refused in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from locat.contract.records import FormatError
from support import small_runs


@pytest.mark.parametrize(
    "damage",
    [
        {"config": [1]},
        {"config": "text"},
        {"config": {"tracking": [1]}},
        {"config": {"tracking": {"tags": [1]}}},
        {"config": {"task": ["supervised"]}},
        {"matrix": 3},
        {"notify": 3},
        {"notify": [{"on": [{"kind": ["done"]}], "way": "webhook", "settings": {}}]},
        {"notify": [{"on": [], "way": "webhook", "settings": 3}]},
        {"notify": [{"on": [{"kind": "stalled", "minutes": "3"}], "way": "webhook", "settings": {}}]},
    ],
)
def test_a_job_without_keys_where_they_belong_is_one_sentence(tmp_path: Path, damage: dict[str, Any]) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a", gpus=1))
    file = run.path / "plan.json"
    values = json.loads(file.read_text())
    values["jobs"][0] |= damage
    file.write_text(json.dumps(values))
    for verb in ("status", "usage", "compare"):
        said = small_runs.cli(run, verb)
        assert said.exit_code == 2 and said.stdout == "" and len(said.stderr.splitlines()) == 1, said.output
        assert f"{file}: cannot be read" in said.stderr


@pytest.mark.parametrize("damage", [{"name": 3}, {"bf16": "many"}, {"memory": 0}, {"fp32": None}, {"bandwidth": -1}])
def test_a_gpu_without_figures_is_one_sentence(tmp_path: Path, damage: dict[str, Any]) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    file = run.path / "plan.json"
    values = json.loads(file.read_text())
    gpu = {"name": "h300", "memory": 1, "bf16": 1.0, "fp16": 1.0, "fp32": 1.0, "bandwidth": 1.0}
    file.write_text(json.dumps({**values, "gpus": [gpu]}))
    assert run.plan().gpus[0].name == "h300"
    file.write_text(json.dumps({**values, "gpus": [gpu | damage]}))
    with pytest.raises(FormatError, match="cannot be read"):
        run.plan()
