"""The types of GPU that a pipeline describes itself."""

from pathlib import Path

import pytest
import yaml

from launcher.compile.compiler import compile_pipeline
from launcher.language.load import validate
from launcher.plan import Plan
from locat.contract.problems import PipelineError
from locat.contract.yaml_source import parse

FIGURES = {"memory": "200G", "bf16": 3000, "fp32": 90.5, "bandwidth": 9000}


def planned(gpus: dict[str, object]) -> Plan:
    job = {"task": "convert", "resources": {"gpus": 1, "gpu_type": "h300"}}
    text = yaml.safe_dump(
        {"name": "x", "gpus": gpus, "jobs": {"a": {**job, "config": {"dataset": {"name": "digits"}}}}}
    )
    return compile_pipeline(validate(parse(text, "x.yaml")), "x-1", Path("/runs"))


def test_a_plan_keeps_them_and_knows_the_jobs_that_ask_for_them() -> None:
    plan = planned({"H300": FIGURES})
    gpu = plan.gpu_of(plan.jobs[0])
    assert gpu is not None
    assert (gpu.memory, gpu.bf16, gpu.fp16, gpu.fp32, gpu.bandwidth) == (200 << 10, 3000, 3000, 90.5, 9000)
    assert Plan.from_json(plan.to_json()) == plan


def test_a_plan_without_any_is_written_as_before() -> None:
    plan = planned({})
    assert plan.gpu_of(plan.jobs[0]) is None
    assert '"gpus": [' not in plan.to_json()


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({**FIGURES, "bf16": 0}, "gpus.h300.bf16: expected a positive number, got 0"),
        ({**FIGURES, "memory": "80 GB"}, "gpus.h300.memory: expected a size such as"),
        ({"memory": "80G"}, "gpus.h300.bf16: required, but missing"),
        ({**FIGURES, "tf32": 1}, "gpus.h300.tf32: unknown key 'tf32'"),
    ],
)
def test_wrong_figures_are_told_with_their_place(figures: dict[str, object], said: str) -> None:
    with pytest.raises(PipelineError) as error:
        planned({"h300": figures})
    assert said in str(error.value) and "x.yaml:" in str(error.value)
