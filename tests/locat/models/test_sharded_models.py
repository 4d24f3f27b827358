"""Every family under sharding strategies computes what it computes under DDP, and comes back from a checkpoint."""

import copy

import pytest
import timm
import torch
import torch.distributed as dist

import locat.models  # noqa: F401
from locat.config import Optimizer, Strategy, TrainingConfig
from locat.engine.strategies import make_strategy
from support.model_reference import fill_for_parity

pytestmark = pytest.mark.slow

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 32, "window_size": 4, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "num_classes": 5}
FAMILIES = {
    "vit_tiny_patch16_reg4_224": VIT,
    "vit_tiny_patch16_rope_mixed_224": VIT,
    "jumbo_tiny": VIT,
    "locatvit_tiny": VIT,
    "locatvit_tiny_reg4": VIT,
    "locatvit_tiny_rope_mixed": VIT,
    "locatjumbo_tiny": VIT,
    "locatswin_tiny": SWIN,
}
SHARDED = [Strategy(name="fsdp"), Strategy(name="deepspeed", zero_stage=3)]
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def start(config, model, ranks):
    optimizer = Optimizer(lr=1e-3, clip_grad=1.0)
    data = {"train": "none", "val": "none"}
    training = TrainingConfig(
        task="test", strategy=config, data=data, batch_size=2, precision="fp32", optimizer=optimizer
    )
    return make_strategy(training, ranks, copy.deepcopy(model))


def step(strategy):
    """Loss and gradient norm of one update."""
    loss = strategy.accumulate(
        lambda images: torch.nn.functional.cross_entropy(strategy.module(images), torch.tensor([0, 1])), [IMAGES]
    )
    return [loss.item(), strategy.update().item()]


@pytest.mark.parametrize("config", [Strategy(name="ddp"), *SHARDED], ids=lambda config: config.name)
@pytest.mark.parametrize("name", FAMILIES)
def test_training_and_resuming_are_those_of_ddp(name, config, ranks, tmp_path):
    model = timm.create_model(name, **FAMILIES[name])
    fill_for_parity(model)
    model.eval()
    alone = start(Strategy(name="ddp"), model, ranks)
    expected = [step(alone) for _ in range(4)]
    first = start(config, model, ranks)
    losses = [step(first) for _ in range(2)]
    first.snapshot()(tmp_path, dist.group.WORLD)
    second = start(config, model, ranks)
    second.load(tmp_path, world_size=1)
    losses += [step(second) for _ in range(2)]
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-4)
    exported = copy.deepcopy(model)
    exported.load_state_dict(second.full_weights())
    with torch.no_grad():
        torch.testing.assert_close(exported(IMAGES), alone.module(IMAGES), rtol=1e-3, atol=1e-3)
