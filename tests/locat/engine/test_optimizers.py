import pytest
import timm
import torch
from torch import nn

import locat.models  # noqa: F401
from locat.config import Optimizer
from locat.engine.blocks import blocks_of
from locat.engine.strategies.optimizers import decayed_groups, make_optimizer, start_state

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 32, "window_size": 4, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "num_classes": 5}


@pytest.mark.parametrize(
    ("name", "args", "positions"),
    [
        ("locatvit_tiny_reg4", VIT, {"pos_embed", "cls_token", "reg_token"}),
        ("locatvit_tiny_rope_mixed", VIT, {"cls_token", "rope.freqs"}),
        ("locatjumbo_tiny", VIT, {"pos_embed", "cls_token"}),
        ("locatswin_tiny", SWIN, {"layers.0.blocks.0.attn.relative_position_bias_table"}),
    ],
)
def test_biases_norms_and_positions_do_not_decay(name, args, positions) -> None:
    model = timm.create_model(name, **args)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    decayed, plain = ({names[id(each)] for each in group["params"]} for group in decayed_groups(model, 0.05))
    assert decayed | plain == set(names.values())
    assert not decayed & plain
    assert positions <= plain
    assert {key for key in names.values() if key.endswith(".bias") or "norm" in key} <= plain
    assert {key for key in decayed if "pos" in key or "token" in key} == set()
    assert {key for key in names.values() if key.endswith(("gaug.log_var.weight", "mlp.fc1.weight"))} <= decayed


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_started_state_changes_nothing(name: str) -> None:
    weights = []
    for started in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = make_optimizer(Optimizer(name=name, lr=0.1, weight_decay=0.1), model)
        if started:
            start_state(optimizer)
            assert len(optimizer.state) == 2
            assert all(group["lr"] == 0.1 for group in optimizer.param_groups)
        for step in range(3):
            model(torch.full((2, 4), step + 1.0)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append([weight.detach() for weight in model.parameters()])
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_blocks_are_found_in_every_stage() -> None:
    assert len(blocks_of(timm.create_model("locatswin_tiny", **SWIN))) == 4
    assert len(blocks_of(timm.create_model("locatvit_tiny", **VIT))) == 2
