"""What a JobSet says to Volcano, KAI and slurm-bridge: as the files beside this one have it."""

from pathlib import Path

import pytest

from launcher.backends.kubernetes.manifests import jobset, objects
from launcher.backends.kubernetes.readable_yaml import to_yaml
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import validate
from launcher.plan import Plan
from locat.contract.errors import UserError
from locat.contract.yaml_source import parse

GOLDEN = Path(__file__).parent / "schedulers"
PIPELINE = """
name: placed
defaults:
  image: registry.example/locat:1
  resources: {{nodes: 2, gpus: 4, time: 90m}}
  options: {{kubernetes: {{scheduler: {scheduler}}}}}
jobs:
  a: {{task: command, config: {{argv: [python, a.py], distributed: true}}}}
  b: {{task: command, needs: [a], config: {{argv: [python, b.py]}}}}
"""


def planned(scheduler: str) -> Plan:
    pipeline = validate(parse(PIPELINE.format(scheduler=scheduler), "x.yaml"))
    return compile_pipeline(pipeline, "placed-1", Path("/runs"), "http://mlflow:5000", "kubernetes")


@pytest.mark.parametrize("name", ["volcano", "kai", "slurm-bridge"])
def test_all_of_a_jobs_pods_are_placed_or_none(name: str) -> None:
    plan = planned(f"{{name: {name}, queue: research}}")
    assert to_yaml([jobset(plan, plan.job("a"), ["placed-1-plan-0"])]) == (GOLDEN / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", ["volcano", "kai", "slurm-bridge"])
def test_a_queue_may_be_left_to_the_scheduler(name: str) -> None:
    assert "research" not in str(objects(planned(f"{{name: {name}}}")))


def test_another_is_refused() -> None:
    with pytest.raises(UserError, match=r"x.yaml:6:.*scheduler.name: expected one of volcano, kai, slurm-bridge"):
        planned("{name: yunikorn}")
