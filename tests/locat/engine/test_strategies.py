"""Real processes under torchrun: every strategy, at several numbers of ranks, against training written out by hand."""

import copy
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm.optim
import torch
from torch import nn

from locat.config.optimizer import OPTIMIZERS
from support.strategy_worker import MOMENTUM, batch_of, lr_of, new_config, new_model, weight_decay_of
from support.traffic import GATHERS, SUMS

BEGAN = time.time()
TOLERANCE = 1e-5
"""Relative, of losses and gradient norms over 50 updates: the same gradients are added up in another order.

The largest deviation seen is 6e-7.
"""

BF16_TOLERANCE = 2e-2
"""Relative, of losses and gradient norms over 6 updates: numbers of 8 bits."""

TESTS = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

Case = dict[str, Any]


def zero(stage: int, **changes: Any) -> dict[str, Any]:
    return {"name": "deepspeed", "zero_stage": stage, **changes}


def clipped(**changes: Any) -> dict[str, Any]:
    return {"lr": 1e-3, "clip_grad": 1.0, **changes}


STRATEGIES: dict[str, Any] = {"ddp": "ddp", "fsdp": "fsdp", **{f"zero{stage}": zero(stage) for stage in (1, 2, 3)}}

PLAIN: Case = {"config": {}, "updates": 50}
DINO: Case = {
    "config": {"optimizer": clipped(clip="tensor", clip_grad=0.05), "micro_batch_size": 2},
    "updates": 20,
    "follows": True,
    "frozen": {"head.weight": 3},
    "schedules_decay": True,
}
AVERAGED: Case = {"config": {}, "updates": 20, "follows": True, "schedules_decay": True}
SPOILED: Case = {"config": {"skip_nonfinite": 2}, "updates": 12, "spoiled": [4, 9]}
SPOILED_AVERAGED: Case = {**SPOILED, "follows": True}
TUNED: Case = {
    "config": {"optimizer": clipped(layer_decay=0.7)},
    "updates": 10,
    "stops": [3, 7, 10],
    "frozen": {
        "patch_embed.proj.weight": 5,
        "blocks.0.mlp.fc1.weight": 5,
        "blocks.0.norm1.bias": 5,
        "pos_embed": 8,
        "blocks.1.mlp.fc2.weight": 99,
    },
}
"""Layers move at rates of their own, and some are frozen until after the first restart."""
SGD: Case = {"config": {"optimizer": clipped(name="sgd")}, "updates": 6}
COMPILED: Case = {"config": {"compile": True, "activation_checkpointing": True}, "updates": 4}
RECOMPUTED: Case = {"config": {"activation_checkpointing": True}, "updates": 6}


def with_strategy(case: Case, strategy: Any, **changes: Any) -> Case:
    return {**case, "config": {**case["config"], "strategy": strategy, **changes}}


def over_all(name: str, case: Case, strategies: list[str], **changes: Any) -> dict[str, Case]:
    return {f"{each}-{name}": with_strategy(case, STRATEGIES[each], **changes) for each in strategies}


ALL = list(STRATEGIES)
EVERYWHERE = over_all("plain", PLAIN, ALL)
OPTIONS = {
    **over_all("accumulated", {**PLAIN, "updates": 20}, ALL, micro_batch_size=2),
    **over_all("recomputed", RECOMPUTED, ALL),
    **over_all("dino", DINO, ["ddp", "fsdp"]),
    **over_all("averaged", AVERAGED, ["zero1", "zero2"]),
    **over_all("spoiled", SPOILED, ["zero3"]),
    **over_all("spoiled-averaged", SPOILED_AVERAGED, ["ddp", "fsdp", "zero1", "zero2"]),
    **over_all("spoiled-sgd", {**SPOILED, "config": {**SPOILED["config"], **SGD["config"]}}, ["ddp", "fsdp", "zero2"]),
    **over_all("sgd", SGD, ["ddp", "fsdp", "zero2"]),
    **over_all("tuned", TUNED, ALL),
    "fsdp-tuned-averaged": with_strategy({**TUNED, "follows": True}, "fsdp", micro_batch_size=2),
    "zero2-offloaded": with_strategy(SGD, zero(2, offload=True)),
    "zero3-offloaded": with_strategy({**PLAIN, "updates": 6}, zero(3, offload=True)),
}
BY_NAME = {
    f"{each}-by-{name}": with_strategy({"config": {"optimizer": clipped(name=name)}, "updates": 4}, STRATEGIES[each])
    for name in OPTIMIZERS
    for each in ("fsdp", "zero2")
    if each == "fsdp" or name in ("adabelief", "laprop", "lion", "nesterov", "radam")
}
"""Each optimizer of timm's that is carried, of sharded parameters; of flat pieces one for each kind of state."""
HALF = {
    **over_all("bf16", {**PLAIN, "updates": 6}, ALL, precision="bf16"),
    **over_all("fp16", {**PLAIN, "updates": 6}, ["ddp", "fsdp"], precision="fp16"),
}
MOVED: dict[str, Case] = {
    **over_all("averaged", AVERAGED, ["ddp", "fsdp", "zero1", "zero2"]),
    **over_all("plain", {**PLAIN, "updates": 20}, ["zero3"]),
    **over_all("sgd", {**SGD, "updates": 20}, ["fsdp", "zero1", "zero3"]),
    **over_all(
        "tuned", {**TUNED, "updates": 20, "frozen": {**TUNED["frozen"], "pos_embed": 12}}, ["fsdp", "zero1", "zero3"]
    ),
    **over_all("by-adabelief", {"config": {"optimizer": clipped(name="adabelief")}, "updates": 20}, ["zero2"]),
}
"""Half of their updates by two ranks, and half by another number."""
WHOLE: Case = {"config": {}, "updates": 8, "stops": [8]}
RESTARTED: Case = {**WHOLE, "stops": [4, 8]}
HSDP = {"name": "fsdp", "replicas": 2}
CASES = {
    1: EVERYWHERE
    | over_all("dino", DINO, ["ddp", "fsdp"])
    | over_all("compiled", COMPILED, ["fsdp"])
    | over_all("bf16", HALF["ddp-bf16"], ["ddp", "fsdp"])
    | over_all("fp16", HALF["ddp-fp16"], ["ddp"]),
    2: EVERYWHERE | OPTIONS | BY_NAME | HALF,
    3: EVERYWHERE | over_all("whole", WHOLE, ALL) | over_all("restarted", RESTARTED, ALL),
    4: {"hsdp": with_strategy(DINO, HSDP, micro_batch_size=1)}
    | over_all("whole", WHOLE, ["ddp"])
    | over_all("restarted", RESTARTED, ["ddp"]),
}
"""By the number of ranks."""


def launch(ranks: int, folder: Path, cases: dict[str, Case]) -> dict[str, Any]:
    """Results of all cases by this number of ranks, in one launch: starting takes longer than training."""
    (folder / "cases.json").write_text(json.dumps(cases))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    subprocess.run(
        [*command, "-m", "support.strategy_worker", str(folder)],
        check=True,
        cwd=TESTS.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)},
        timeout=500,
    )
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


@pytest.fixture(scope="module")
def results_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Any]]:
    """Results of all cases of a number of ranks."""
    return cache(lambda ranks: launch(ranks, tmp_path_factory.mktemp(f"ranks-{ranks}"), CASES[ranks]))


def by_hand(case: Case, skipped: Collection[int] = ()) -> tuple[list[list[float]], nn.Module]:
    """What one process does that holds the whole batch: losses and gradient norms, and the exported model."""
    settings = new_config(case["config"]).optimizer
    model = new_model()
    shadow = copy.deepcopy(model)
    named = dict(model.named_parameters())
    exempt = [name for name, weight in named.items() if weight.ndim < 2] + ["pos_embed", "cls_token"]
    groups = timm.optim.param_groups_layer_decay(model, settings.weight_decay, exempt, layer_decay=settings.layer_decay)
    optimizer: torch.optim.Optimizer
    if settings.name == "adamw":
        optimizer = torch.optim.AdamW(groups, lr=settings.lr, foreach=False)
    elif settings.name == "sgd":
        optimizer = torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, foreach=False)
    else:
        optimizer = timm.optim.create_optimizer_v2(groups, settings.name, settings.lr, settings.weight_decay)
    rows = []
    for step in range(case["updates"]):
        for group in optimizer.param_groups:
            group["lr"] = lr_of(step) * group["lr_scale"]
            if case.get("schedules_decay") and group["weight_decay"]:
                group["weight_decay"] = weight_decay_of(step)
        if step in case.get("spoiled", []):
            rows.append([math.nan, math.nan])
            continue
        images, labels = batch_of(step)
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        for name, until in case.get("frozen", {}).items():
            if step < until:
                named[name].grad = None
        gradients = [weight.grad for weight in named.values() if weight.grad is not None]
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()
        if settings.clip == "global":
            for gradient in gradients:
                gradient.mul_(min(1.0, settings.clip_grad / (norm + 1e-6)))
        else:
            for gradient in gradients:
                gradient.mul_(min(1.0, settings.clip_grad / (gradient.norm().item() + 1e-6)))
        if step not in skipped:
            optimizer.step()
        with torch.no_grad():
            for one, other in zip(shadow.parameters(), model.parameters(), strict=True):
                one.copy_(MOMENTUM * one + (1 - MOMENTUM) * other)
        rows.append([loss.item(), norm])
    return rows, shadow if case.get("follows") else model


@pytest.mark.parametrize(("ranks", "strategy"), [*((3, strategy) for strategy in ALL), (4, "ddp")])
def test_a_restart_changes_no_bit(ranks: int, strategy: str, results_of: Callable[[int], dict[str, Any]]) -> None:
    """Only from three ranks on does a sum depend on the order in which they are added up."""
    results = results_of(ranks)
    assert results[f"{strategy}-restarted"] == results[f"{strategy}-whole"]


@pytest.mark.parametrize(
    ("ranks", "name"), [(ranks, name) for ranks in CASES for name in CASES[ranks] if name not in HALF | BY_NAME]
)
def test_losses_and_weights_are_those_by_hand_also_after_a_restart(
    ranks: int, name: str, results_of: Callable[[int], dict[str, Any]]
) -> None:
    case = CASES[ranks][name]
    expected, model = by_hand(case)
    found = results_of(ranks)[name]
    assert len(found["rows"]) == case["updates"]
    for step, (row, other) in enumerate(zip(found["rows"], expected, strict=True)):
        if step in case.get("spoiled", []):
            assert not any(map(math.isfinite, row))
        else:
            assert row == pytest.approx(other, rel=TOLERANCE), step
    for key, value in model.state_dict().items():
        torch.testing.assert_close(torch.tensor(found["weights"][key]), value, rtol=1e-3, atol=1e-4)
    if case.get("follows"):
        with torch.no_grad():
            assert found["shadow"] == pytest.approx(model(batch_of(0)[0]).sum().item(), rel=1e-3)


@pytest.mark.parametrize("name", [name for name in OPTIONS if "-tuned" in name])
def test_what_is_frozen_does_not_move_by_a_bit(name: str, results_of: Callable[[int], dict[str, Any]]) -> None:
    kept = "blocks.1.mlp.fc2.weight"
    found = torch.tensor(results_of(2)[name]["weights"][kept])
    assert torch.equal(found, new_model().get_parameter(kept))


@pytest.mark.parametrize("name", BY_NAME)
def test_every_optimizer_that_is_carried_gives_the_losses_by_hand(
    name: str, results_of: Callable[[int], dict[str, Any]]
) -> None:
    """Not the weights: Lion's step is the sign also of a gradient that is nothing but rounding."""
    expected, _ = by_hand(BY_NAME[name])
    found = results_of(2)[name]["rows"]
    assert len(found) == 4
    for row, other in zip(found, expected, strict=True):
        assert row == pytest.approx(other, rel=TOLERANCE)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of checkpoints that two ranks have saved after half of the updates."""
    folder = tmp_path_factory.mktemp("halves")
    launch(2, folder, {name: {**case, "stops": [10]} for name, case in MOVED.items()})
    return folder


@pytest.mark.parametrize("ranks", [1, 3])
def test_another_number_of_ranks_goes_on_with_the_same_batches_losses_and_weights(
    ranks: int, halves: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(halves, folder)
    found = launch(ranks, folder, {name: {**case, "stops": [20]} for name, case in MOVED.items()})
    for name, case in MOVED.items():
        expected, model = by_hand(case)
        assert len(found[name]["rows"]) == 10
        for step, (row, other) in enumerate(zip(found[name]["rows"], expected[10:], strict=True), 10):
            assert row == pytest.approx(other, rel=TOLERANCE), (name, step)
        for key, value in model.state_dict().items():
            torch.testing.assert_close(torch.tensor(found[name]["weights"][key]), value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("strategy", ALL)
def test_bf16_computes_in_bf16_and_stays_near_float32(
    strategy: str, results_of: Callable[[int], dict[str, Any]]
) -> None:
    found = results_of(2)[f"{strategy}-bf16"]["rows"]
    assert found != results_of(2)[f"{strategy}-accumulated"]["rows"][:6]
    if strategy == "fsdp":  # rounded before they are gathered or after, weights are the same numbers
        for ranks in (1, 2):
            half = (results_of(ranks)[f"{name}-bf16"]["rows"] for name in ("fsdp", "ddp"))
            for row, other in zip(*half, strict=True):
                assert row == pytest.approx(other, rel=BF16_TOLERANCE / 2)
    for row, other, alone in zip(found, by_hand(HALF["ddp-bf16"])[0], results_of(1)["ddp-bf16"]["rows"], strict=True):
        assert row == pytest.approx(other, rel=BF16_TOLERANCE)
        assert row == pytest.approx(alone, rel=BF16_TOLERANCE / 2)


def test_fp16_skips_the_updates_that_overflow_on_all_ranks_and_is_the_same_with_ddp_and_fsdp(
    results_of: Callable[[int], dict[str, Any]],
) -> None:
    ddp, fsdp = (results_of(2)[f"{name}-fp16"] for name in ("ddp", "fsdp"))
    assert [row[0] for row in fsdp["rows"]] == pytest.approx([row[0] for row in ddp["rows"]], rel=1e-3)
    assert all(math.isfinite(loss) for loss, _ in ddp["rows"])
    overflown = [step for step, (_, norm) in enumerate(ddp["rows"]) if not math.isfinite(norm)]
    assert overflown == [step for step, (_, norm) in enumerate(fsdp["rows"]) if not math.isfinite(norm)]
    assert len(overflown) < 3
    expected, _ = by_hand(HALF["ddp-fp16"], skipped=overflown)
    assert [row[0] for row in ddp["rows"]] == pytest.approx([loss for loss, _ in expected], rel=5e-3)


def test_fsdp_gathers_blocks_in_the_format_in_which_they_compute_and_sums_gradients_in_float32(
    results_of: Callable[[int], dict[str, Any]],
) -> None:
    full, half = (results_of(2)[f"fsdp-{name}"]["sent"] for name in ("plain", "bf16"))
    blocks = new_model().blocks
    whole = sum(weight.numel() for weight in blocks.parameters())
    norms = sum(weight.numel() for name, weight in blocks.named_parameters() if "norm" in name)
    gathered, summed = ([sent for sent in half if sent[0] == kind] for kind in (GATHERS, SUMS))
    in_half = [size for _, kind, size in gathered if kind == "bfloat16"]
    assert sum(in_half) == 2 * 2 * (whole - norms)  # forward and backward, of two bytes each
    assert len(in_half) == 2 * len(blocks)
    saved = sum(size for kind, _, size in full if kind == GATHERS) - sum(size for _, _, size in gathered)
    assert saved == 2 * 2 * (whole - norms) + 4 * norms  # norms are gathered once, with the whole
    assert {kind for _, kind, _ in summed} == {"float32"}


def test_fsdp_gathers_the_next_block_before_it_sums_the_gradients_of_this_one(
    results_of: Callable[[int], dict[str, Any]],
) -> None:
    sent = [kind for kind, *_ in results_of(2)["fsdp-bf16"]["sent"] if kind in (GATHERS, SUMS)]
    assert sent == 5 * [GATHERS] + 3 * [SUMS]  # the whole and two blocks, both blocks again; then what was waited for


def test_deepspeed_leaves_no_shared_memory_behind(results_of: Callable[[int], dict[str, Any]]) -> None:
    results_of(1)
    assert not [file for file in Path("/dev/shm").glob("deepspeed_*") if file.stat().st_mtime > BEGAN]
