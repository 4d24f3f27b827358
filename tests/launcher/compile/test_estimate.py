"""GPU-hours and storage, told from the plan alone."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher.compile.compiler import compile_pipeline
from launcher.compile.estimate import Estimate, Estimator
from launcher.language.load import load, validate
from locat.contract.yaml_source import parse

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests/launcher/golden/estimates.json"
CIFAR = {"train": "${jobs.convert.outputs.train}", "val": "${jobs.convert.outputs.val}"}
MODEL = {"name": "vit_tiny_patch16_224", "args": {"num_classes": 100}}


TINY = (0.06 * 989e12, 0.15 * 989e12)
"""Operations a second of an H100 with a model of this size in bf16: the slowest, the fastest."""
FLOAT32 = (0.35 * 67e12, 0.70 * 67e12)


def hours(operations: float, speeds: tuple[float, float] = TINY) -> Any:
    """The GPU-hours of so many operations, the least and the most."""
    return pytest.approx(tuple(operations / speed / 3600 for speed in reversed(speeds)))


def estimate(config: dict[str, Any], task: str = "supervised", **resources: Any) -> Estimate:
    """Of a job on CIFAR-100, after a supervised one called `pretrain`."""
    pretrain = {"model": MODEL, "data": CIFAR, "epochs": 1, "batch_size": 64}
    jobs = {
        "convert": {"task": "convert", "config": {"dataset": {"name": "cifar100", "source": "/c"}}},
        "pretrain": {"task": "supervised", "needs": ["convert"], "config": pretrain},
        "job": {
            "task": task,
            "needs": ["convert", "pretrain"],
            "resources": {"gpus": 2, **resources},
            "config": {"data": CIFAR, **config},
        },
    }
    plan = compile_pipeline(
        validate(parse(yaml.safe_dump({"name": "x", "jobs": jobs}), "x.yaml")), "x-1", Path("/runs")
    )
    return Estimator(plan).of(plan.job("job"))


def supervised(**model_args: Any) -> dict[str, Any]:
    return {"model": {**MODEL, "args": model_args}, "epochs": 3, "batch_size": 64}


def test_training_is_three_forward_passes_of_two_operations_a_multiply_add() -> None:
    found = estimate(supervised(num_classes=100))
    assert found.gpu_hours == hours(3 * 50_000 * 6 * 1.26e9)
    assert found.storage == pytest.approx((2 * 3 + 1) * 6e6 * 4)


@pytest.mark.parametrize(("after", "left"), [("best", 1), ("last", 1), ("none", 0)])
def test_checkpoints_that_are_deleted_at_a_jobs_end_need_no_room_for_good(after: str, left: int) -> None:
    found = estimate({**supervised(num_classes=100), "checkpoints": {"after": after}})
    assert found.storage == pytest.approx((left * 3 + 1) * 6e6 * 4)


def test_a_frozen_backbone_costs_one_forward_pass_of_its_own_model() -> None:
    found = estimate({"backbone": "${jobs.pretrain.outputs.model}"}, "knn")
    assert found.gpu_hours == hours(60_000 * 2 * 1.26e9, FLOAT32)
    assert found.storage == 0


def test_a_backbone_that_is_trained_costs_three_forward_passes_and_is_in_checkpoints() -> None:
    augment = {"name": "benchmark", "crop": 224}
    config = {"backbone": "${jobs.pretrain.outputs.model}", "iterations": 100, "batch_size": 20, "augment": augment}
    frozen, trained = (estimate({**config, "backbone_lr": rate}, "segment") for rate in (0.0, 1e-4))
    each = 1.26e9
    assert frozen.gpu_hours == hours((100 * 20 * 2 + 10_000 * 2) * each, FLOAT32)
    assert trained.gpu_hours == hours((100 * 20 * 6 + 10_000 * 2) * each, FLOAT32)
    assert frozen.storage == pytest.approx(6e6 * 4)
    assert trained.storage == pytest.approx((2 * 3 + 1) * 6e6 * 4)
    windows = estimate({**config, "evaluation": {"flip": True, "window": 112, "stride": 56}}, "segment")
    assert windows.gpu_hours == hours((100 * 20 * 2 + 10_000 * 2 * 2 * 9 / 4) * each, FLOAT32)


def test_a_decoder_may_cost_more_than_the_frozen_backbone() -> None:
    augment = {"name": "benchmark", "crop": 224}
    config = {"backbone": "${jobs.pretrain.outputs.model}", "iterations": 100, "batch_size": 20, "augment": augment}
    found = estimate({**config, "head": {"name": "upernet", "channels": 128}}, "segment")
    decoder = 800 * 128**2 * 14**2
    operations = 100 * 20 * (2 * 1.26e9 + 6 * decoder) + 10_000 * 2 * (1.26e9 + decoder)
    assert found.gpu_hours == hours(operations, FLOAT32)
    assert found.storage == pytest.approx(4 * (6e6 + 110 * 128**2 * (1 + 2 * 3)))


def test_dino_counts_every_crop() -> None:
    config = {**supervised(num_classes=0), "crops": {"local_crops": 4, "local_size": 112}}
    image = 6 * (2 + 4 * 0.25) + 2 * 2
    assert estimate(config, "dino").gpu_hours == hours(3 * 50_000 * image * 1.26e9)


def test_attached_locat_costs_what_the_registered_one_does() -> None:
    plain, attached, registered = (
        estimate({**supervised(num_classes=100), "model": {"args": {"num_classes": 100}, **model}})
        for model in (
            {"name": "vit_tiny_patch16_224.augreg_in21k", "init": "timm"},
            {"name": "vit_tiny_patch16_224.augreg_in21k", "init": "timm", "attach": {}},
            {"name": "locatvit_tiny"},
        )
    )
    assert plain == estimate(supervised(num_classes=100))
    assert attached == registered != plain


def test_what_is_not_known_is_not_guessed() -> None:
    found = estimate(supervised(embed_dim=96))
    assert not found.gpu_hours.is_known and math.isnan(found.storage)


def test_a_job_without_gpus_takes_no_gpu_hours() -> None:
    assert estimate(supervised(embed_dim=96), gpus=0).gpu_hours == (0, 0)


def test_the_gpu_that_is_asked_for_decides() -> None:
    named, slower = (estimate(supervised(num_classes=100), gpu_type=name) for name in ("NVIDIA-H100-80GB-HBM3", "a100"))
    assert named.gpu_hours == hours(3 * 50_000 * 6 * 1.26e9)
    assert slower.gpu_hours == hours(3 * 50_000 * 6 * 1.26e9, (0.06 * 312e12, 0.15 * 312e12))
    assert slower.basis == "a100-sxm-40gb, assumed to reach 6 to 15 % of 312 TFLOP/s in bf16"


def test_a_gpu_without_bf16_computes_as_in_float32() -> None:
    found = estimate(supervised(num_classes=100), gpu_type="v100")
    assert found.gpu_hours == hours(3 * 50_000 * 6 * 1.26e9, (0.35 * 15.7e12, 0.70 * 15.7e12))
    half = estimate({**supervised(num_classes=100), "precision": "fp16"}, gpu_type="v100")
    assert half.gpu_hours == hours(3 * 50_000 * 6 * 1.26e9, (0.06 * 125e12, 0.15 * 125e12))


def test_an_unknown_gpu_is_no_error_and_its_hours_are_unknown() -> None:
    found = estimate(supervised(num_classes=100), gpu_type="h300")
    assert not found.gpu_hours.is_known and found.storage > 0
    assert found.basis.startswith("unknown GPU 'h300'; say in the pipeline")


@pytest.mark.parametrize("pipeline", sorted((ROOT / "pipelines").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_pipelines_are_estimated_as_before(pipeline: Path) -> None:
    """After a change that is meant: write what is found to the golden file, and read its diff."""
    plan = compile_pipeline(load(pipeline), "run", Path("/runs"))
    estimator = Estimator(plan)
    estimates = [estimator.of(job) for job in plan.jobs]
    found = {
        what: {
            "sum": math.fsum(value for value in values if not math.isnan(value)),
            "unknown": sum(map(math.isnan, values)),
        }
        for what, values in {
            "fewest_gpu_hours": [each.gpu_hours.low for each in estimates],
            "most_gpu_hours": [each.gpu_hours.high for each in estimates],
            "storage": [each.storage for each in estimates],
        }.items()
    }
    assert found == json.loads(GOLDEN.read_text())[pipeline.stem]
