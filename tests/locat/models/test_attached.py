"""`locat_attached`: a plain model with LocAt, that timm saves and builds again."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import locat.models  # noqa: F401
from locat.config import Model
from locat.config.attach import Attach
from locat.contract.errors import ConfigError, WeightsError
from locat.models.attach import attach, attached_parameters
from locat.models.create import create_model, load_backbone, save_model, title
from locat.weights.files import Weights
from locat.weights.fit import Fit, fit, refuse
from support.model_reference import fill_for_parity

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": (1, 1), "num_heads": (1, 2)}
SLOW = pytest.mark.slow
BASES = [
    "vit_small_patch14_dinov2.lvd142m",
    "vit_small_patch16_dinov3.lvd1689m",
    "vit_base_patch16_siglip_gap_224.v2_webli",
    "swin_tiny_patch4_window7_224.ms_in1k",
    pytest.param("vit_base_patch16_clip_224.openai", marks=SLOW),
    pytest.param("deit_tiny_patch16_224.fb_in1k", marks=SLOW),
    pytest.param("eva02_tiny_patch14_224.mim_in22k", marks=SLOW),
]


def config(name: str, plain: bool = False, **attached: Any) -> Model:
    args = {**SWIN, "num_classes": 5} if "swin" in name else VIT
    return Model(name=name, args=args, attach=None if plain else Attach(**attached))


def model(*named: Any, seed: int = 0, **attached: Any) -> Any:
    torch.manual_seed(seed)
    return create_model(config(*named, **attached)).eval()


def weights(of: torch.nn.Module) -> Weights:
    return Weights({name: value.clone() for name, value in of.state_dict().items()}, "file", "0", {})


def fitted(into: torch.nn.Module, given: Weights) -> Fit:
    found = fit(into, given, attached_parameters(into))
    refuse(found, into, given.origin)
    return found


@pytest.mark.parametrize("name", BASES)
def test_it_is_the_plain_model_until_it_is_trained_and_comes_back_from_its_folder(name: str, tmp_path: Path) -> None:
    ours, plain = model(name), model(name, True)
    fill_for_parity(plain)
    assert fitted(ours, weights(plain)).missing == [
        key for key in ours.state_dict() if key in attached_parameters(ours)
    ]
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert_close(ours(images), plain(images))
    assert_close(ours.forward_features(images), plain.forward_features(images))

    for key in attached_parameters(ours):
        torch.nn.init.constant_(ours.get_parameter(key), 0.1)
    assert (ours(images) - plain(images)).abs().max() > 1e-5
    save_model(ours, tmp_path, **config(name).args)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(again(images), ours(images))
    backbone, called = load_backbone(tmp_path)
    assert called == title(config(name)) == f"{name}, attach=identity"
    assert torch.equal(backbone.eval()(images), ours(images))
    save_model(again, tmp_path / "again")
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()
    same = [json.loads((folder / "config.json").read_text())["model_args"] for folder in (tmp_path, tmp_path / "again")]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("name", "pool", "told"),
    [
        ("vit_tiny_patch16_224", "token", ""),
        ("vit_tiny_patch16_224", "avg", ", global_pool=avg"),
        ("eva02_tiny_patch14_224", "token", ", global_pool=token"),
        ("swin_tiny_patch4_window7_224", "max", ", global_pool=max"),
    ],
)
def test_another_pool_takes_prrs_place_and_a_folder_says_so(name: str, pool: str, told: str, tmp_path: Path) -> None:
    ours, plain = model(name), model(name, True)
    fill_for_parity(plain)
    fitted(ours, weights(plain))
    ours.reset_classifier(5)
    assert "prr=False" not in saved(ours, tmp_path / "kept")
    for each in (ours, plain):
        torch.manual_seed(1)
        each.reset_classifier(5, pool)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert_close(ours(images), plain(images))
    assert saved(ours, tmp_path / "replaced") == f"{name}, attach=identity, prr=False{told}"
    assert torch.equal(load_backbone(tmp_path / "replaced")[0].eval()(images), ours(images))


def saved(of: torch.nn.Module, folder: Path) -> str:
    """What a model is called that was saved, and loaded with all of its weights."""
    save_model(of, folder)
    return load_backbone(folder)[1]


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """To a millionth of the largest value: float32 itself rounds by a tenth of that."""
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize(("init", "drawn"), [("identity", False), ("paper", True)])
def test_it_draws_the_plain_models_weights_first(init: str, drawn: bool) -> None:
    ours, plain = model("vit_tiny_patch16_224", init=init), model("vit_tiny_patch16_224", True)
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in plain.state_dict().items())
    assert (ours.attn_pool.gate is None) == drawn
    torch.manual_seed(0)
    theirs = attach(timm.create_model("vit_tiny_patch16_224", **VIT), init=init)
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in theirs.state_dict().items())


def test_pretrained_are_the_plain_models_weights(tmp_path: Path) -> None:
    plain = timm.create_model("vit_tiny_patch16_224", **VIT)
    save_file(plain.state_dict(), tmp_path / "plain.safetensors")
    overlay = {"file": str(tmp_path / "plain.safetensors"), "num_classes": 5}
    ours = timm.create_model(
        "locat_attached", base="vit_tiny_patch16_224", pretrained=True, pretrained_cfg_overlay=overlay, **VIT
    )
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in plain.state_dict().items())


@pytest.mark.parametrize(
    ("attached", "called"),
    [
        ({}, ", attach=identity"),
        ({"init": "paper"}, ", attach=paper"),
        ({"prr": False}, ", attach=identity, prr=False"),
        ({"gaug": False}, ", attach=identity, gaug=False"),
    ],
)
def test_its_title_says_what_is_attached_and_how_it_began(attached: Any, called: str) -> None:
    assert title(config("vit_tiny_patch16_224", **attached)) == f"vit_tiny_patch16_224{called}"


@pytest.mark.parametrize(
    ("name", "args", "attached", "words"),
    [
        ("vit_base_patch16_siglip_224", VIT, {}, "this model pools with 'map' (prr=False leaves it out)"),
        ("deit_tiny_distilled_patch16_224", VIT, {}, "second, distilled one (prr=False leaves it out)"),
        ("vit_small_patch16_18x2_224", VIT, {}, "no form for ParallelThingsBlock"),
        ("vit_small_patch16_18x2_224", VIT, {"gaug": False}, "the last block has none of its own"),
        ("vit_tiny_patch16_224", {**VIT, "global_pool": "prr"}, {}, "has PRR already"),
        ("vit_tiny_patch16_224", {**VIT, "patch_drop_rate": 0.5}, {}, "drops patches"),
        ("test_resnet", {}, {}, "no patch grid and no queries"),
    ],
)
def test_what_does_not_take_it_is_refused_in_one_sentence(name: str, args: Any, attached: Any, words: str) -> None:
    with pytest.raises(ConfigError) as told:
        create_model(Model(name=name, args=args, attach=Attach(**attached)))
    assert str(told.value).startswith(f"model.attach: {name!r} does not take it: ") and words in str(told.value)


def test_its_arguments_are_the_plain_models() -> None:
    with pytest.raises(ConfigError, match=r"cannot be built with .*multiple values for keyword argument 'gaug'"):
        create_model(Model(name="vit_tiny_patch16_224", args={"gaug": False}, attach=Attach()))


def test_weights_with_locat_go_only_into_the_same() -> None:
    trained = model("vit_tiny_patch16_224")
    again = model("vit_tiny_patch16_224", seed=1)
    assert not fitted(again, weights(trained)).missing
    for other in ({"init": "paper"}, {"prr": False}):
        with pytest.raises(WeightsError, match=r"does not fit vit_tiny_patch16_224: .*no place for attn_pool.gate"):
            fitted(model("vit_tiny_patch16_224", **other), weights(trained))
    with pytest.raises(WeightsError, match=r"no place for .*blocks.0.attn.gaug"):
        fitted(model("vit_tiny_patch16_224", True), weights(trained))
    only = weights(model("vit_tiny_patch16_224", gaug=False))
    with pytest.raises(WeightsError, match=r"no place for attn_pool.gate"):
        fitted(model("vit_tiny_patch16_224", True), only)


def test_a_pool_that_prr_takes_the_place_of_is_not_used() -> None:
    mapped = model("vit_base_patch16_siglip_224", True)
    averaged = model("vit_base_patch16_siglip_gap_224")
    unused = fitted(averaged, weights(mapped)).unused
    assert unused and all(name.startswith("attn_pool.") for name in unused)
