import pytest
import timm
import timm.optim
import torch
from torch import nn

import locat.models  # noqa: F401
from locat.config import Optimizer
from locat.config.optimizer import OPTIMIZERS, REFUSED
from locat.contract.errors import ConfigError
from locat.engine.blocks import blocks_of
from locat.engine.strategies.optimizers import make_optimizer, parameter_groups, start_state

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 32, "window_size": 4, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "num_classes": 5}
CONFIG = Optimizer(weight_decay=0.05)


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
    decayed, plain = ({names[id(each)] for each in group["params"]} for group in parameter_groups(model, CONFIG))
    assert decayed | plain == set(names.values())
    assert not decayed & plain
    assert positions <= plain
    assert {key for key in names.values() if key.endswith(".bias") or "norm" in key} <= plain
    assert {key for key in decayed if "pos" in key or "token" in key} == set()
    assert {key for key in names.values() if key.endswith(("gaug.log_var.weight", "mlp.fc1.weight"))} <= decayed


SHAPE = (40, 36)
"""Large enough that what factors its moments does so."""
CUT = 500
WEIGHTS = torch.linspace(-1, 1, SHAPE[0] * SHAPE[1])


def moved(name: str, pieces: list[torch.Tensor], started: bool = False) -> torch.Tensor:
    """WEIGHTS after some updates by an optimizer of timm's, as parameters of the given pieces, flat again."""
    parameters = [nn.Parameter(piece.clone()) for piece in pieces]
    groups = [{"params": parameters, "weight_decay": 0.05}]
    optimizer = timm.optim.create_optimizer_v2(groups, name, lr=0.01, weight_decay=0.05)
    if started:
        start_state(optimizer)
    for step in range(4):
        gradient = torch.randn(WEIGHTS.shape, generator=torch.Generator().manual_seed(step))
        first = 0
        for parameter in parameters:
            parameter.grad = gradient[first : first + parameter.numel()].view_as(parameter).clone()
            first += parameter.numel()
        optimizer.step()
    return torch.cat([parameter.detach().flatten() for parameter in parameters])


def is_carried(name: str) -> bool:
    """Whether weights are moved alike in pieces of any shape, and the state begins at zeros."""
    try:
        with torch.compiler.set_stance("force_eager"):  # Kron compiles itself, half a minute long
            whole = moved(name, [WEIGHTS.view(SHAPE)])
            pieces = moved(name, [WEIGHTS[:CUT], WEIGHTS[CUT:]])
            started = moved(name, [WEIGHTS.view(SHAPE)], started=True)
    except (AssertionError, AttributeError, KeyError, RuntimeError, TypeError):
        return False
    return torch.equal(pieces, whole) and torch.equal(started, whole)


@pytest.mark.parametrize("name", timm.optim.list_optimizers())
def test_every_optimizer_of_timm_is_carried_or_refused_with_a_true_reason(name: str) -> None:
    assert (name in OPTIMIZERS) != (name in REFUSED)
    if name == "adagrad":  # what DeepSpeed does with it is seen only there
        return
    assert is_carried(name) == (name in OPTIMIZERS)


def test_none_is_listed_that_timm_does_not_have() -> None:
    assert OPTIMIZERS.keys() | REFUSED.keys() == set(timm.optim.list_optimizers())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_started_state_changes_nothing_and_is_as_large_as_said(name: str) -> None:
    weights = []
    for started in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = make_optimizer(Optimizer(name=name, lr=0.1, weight_decay=0.1), model)
        if started:
            start_state(optimizer)
            assert len(optimizer.state) == 2
            assert all(group["lr"] == 0.1 for group in optimizer.param_groups)
            kept = optimizer.state[model.weight].values()
            copies = sum(torch.is_tensor(value) and value.shape == model.weight.shape for value in kept)
            assert copies == OPTIMIZERS[name]
        for step in range(3):
            model(torch.full((2, 4), step + 1.0)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        weights.append([weight.detach() for weight in model.parameters()])
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_whose_numbers_are_not_finite_changes_nothing(name: str) -> None:
    model = nn.Linear(4, 3)
    before = [weight.detach().clone() for weight in model.parameters()]
    optimizer = make_optimizer(Optimizer(name=name, lr=0.1), model)
    for found in (1.0, 0.0):
        optimizer.found_inf = torch.tensor(found)  # type: ignore[attr-defined]
        for weight in model.parameters():
            weight.grad = torch.full_like(weight, float("nan") if found else 1.0)
        optimizer.step()
        same = [torch.equal(weight, old) for weight, old in zip(model.parameters(), before, strict=True)]
        assert all(same) if found else not any(same)


def test_what_the_config_says_reaches_the_optimizer() -> None:
    lion = make_optimizer(Optimizer(name="lion", lr=1e-4, betas=(0.8, 0.9)), nn.Linear(2, 2))
    assert lion.defaults["betas"] == (0.8, 0.9)
    assert make_optimizer(Optimizer(name="lion"), nn.Linear(2, 2)).defaults["betas"] == (0.9, 0.99)
    assert make_optimizer(Optimizer(), nn.Linear(2, 2)).defaults["betas"] == (0.9, 0.999)
    assert make_optimizer(Optimizer(name="nesterov", momentum=0.8), nn.Linear(2, 2)).defaults["momentum"] == 0.8


@pytest.mark.parametrize(("name", "args"), [("locatvit_tiny", VIT), ("locatswin_tiny", SWIN)])
def test_layer_decay_has_timms_own_groups(name: str, args: dict[str, object]) -> None:
    model = timm.create_model(name, **args)
    names = {id(parameter): key for key, parameter in model.named_parameters()}

    def scales(groups: list[dict[str, object]]) -> dict[str, tuple[object, object]]:
        return {names[id(each)]: (g["lr_scale"], g["weight_decay"]) for g in groups for each in g["params"]}

    expected = timm.optim.param_groups_layer_decay(
        model, 0.05, no_weight_decay_list=model.no_weight_decay(), layer_decay=0.7
    )
    found = scales(parameter_groups(model, Optimizer(layer_decay=0.7)))
    assert found == scales(expected)
    assert found["head.weight" if "head.weight" in found else "head.fc.weight"] == (1.0, 0.05)
    assert min(scale for scale, _ in found.values()) < 0.4


def test_a_part_of_a_model_may_have_the_layers() -> None:
    whole = nn.ModuleDict({"backbone": timm.create_model("locatvit_tiny", **VIT), "head": nn.Linear(16, 3)})
    scales = {
        id(each): group["lr_scale"]
        for group in parameter_groups(whole, Optimizer(layer_decay=0.5))
        for each in group["params"]
    }
    assert scales[id(whole["head"].weight)] == 1.0
    assert scales[id(whole["backbone"].blocks[0].mlp.fc1.weight)] == 0.25
    with pytest.raises(ConfigError, match=r"optimizer.layer_decay: Linear does not say what its layers are"):
        parameter_groups(nn.Linear(2, 2), Optimizer(layer_decay=0.5))


def test_what_is_all_frozen_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"freeze.patterns: they match all parameters"):
        parameter_groups(nn.Linear(2, 2), CONFIG, lambda name: 3)


def test_blocks_are_found_in_every_stage() -> None:
    assert len(blocks_of(timm.create_model("locatswin_tiny", **SWIN))) == 4
    assert len(blocks_of(timm.create_model("locatvit_tiny", **VIT))) == 2
