"""Weights fitted to models: other grids and classes, other programs' files, and what does not fit."""

import argparse
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import locat.models  # noqa: F401
from locat.config.weights import Init
from locat.contract.errors import ConfigError, WeightsError
from locat.weights.files import Weights, read_file, read_folder
from locat.weights.fit import Fit, fit, refuse
from locat.weights.source import read

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 32, "patch_size": 2, "window_size": 4, "embed_dim": 12, "depths": (1, 1), "num_heads": (1, 2)}


def model(name: str = "locatvit_tiny", seed: int = 0, **args: Any) -> Any:
    torch.manual_seed(seed)
    return timm.create_model(name, **{**(VIT if "swin" not in name else {**SWIN, "num_classes": 5}), **args}).eval()


def weights(of: torch.nn.Module, prefix: str = "") -> Weights:
    return Weights({prefix + name: value.clone() for name, value in of.state_dict().items()}, "file", "0", {})


def fitted(into: torch.nn.Module, given: Weights) -> Fit:
    found = fit(into, given)
    refuse(found, into, given.origin)
    return found


@pytest.mark.parametrize("name", ["locatvit_tiny", "locatvit_tiny_rope_mixed", "locatswin_tiny", "locatjumbo_tiny"])
def test_the_same_model_computes_the_same(name: str) -> None:
    one, other = model(name), model(name, seed=1)
    found = fitted(other, weights(one))
    assert (found.missing, found.unused) == ([], [])
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(one(images), other(images))


@pytest.mark.parametrize(
    ("name", "resampled", "change"),
    [
        ("locatvit_tiny", {"pos_embed"}, {"img_size": 48}),
        ("locatvit_tiny", {"pos_embed", "patch_embed.proj.weight"}, {"img_size": 64, "patch_size": 4}),
        ("locatvit_tiny_rope_mixed", set(), {"img_size": 48}),
        ("locatswin_tiny", {"relative_position_bias_table"}, {"img_size": 64, "window_size": 8}),
    ],
)
def test_another_grid_is_resampled_as_timm_does_it(name: str, resampled: set[str], change: dict[str, int]) -> None:
    one, ours = model(name), model(name, seed=1, **change)
    fitted(ours, weights(one))
    cfg = {"state_dict": one.state_dict(), "num_classes": 5}
    theirs = model(name, seed=1, pretrained=True, pretrained_cfg_overlay=cfg, **change)
    for key, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[key])
        before = one.state_dict().get(key)
        same = before is not None and before.shape == value.shape and torch.equal(before, value)
        assert same != any(key.endswith(end) for end in resampled), key


def test_another_number_of_classes_gives_a_new_head() -> None:
    one, other = model(), model(seed=1, num_classes=7)
    head = other.head.weight.clone()
    found = fitted(other, weights(one))
    assert (found.missing, found.unused) == (["head.weight", "head.bias"], ["head.bias", "head.weight"])
    assert torch.equal(other.head.weight, head) and torch.equal(other.norm.weight, one.norm.weight)
    assert fitted(model(num_classes=0), weights(one)).unused == ["head.bias", "head.weight"]
    headless = fitted(model(), weights(model(num_classes=0)))
    assert headless.missing == ["head.weight", "head.bias"] and not headless.unused


def test_of_a_student_or_a_segmentation_model_the_backbone_is_taken() -> None:
    one, other = model(), model(seed=1)
    given = weights(one, prefix="module.backbone.")
    tensors = {**given.tensors, "module.head.mlp.0.weight": torch.zeros(2)}
    found = fitted(
        other, Weights({name.removeprefix("module."): value for name, value in tensors.items()}, "f", "0", {})
    )
    assert found.unused == ["head.mlp.0.weight"]
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: model("vit_tiny_patch16_224"), "it lacks blocks.0.attn.gaug"),
        (lambda: model(depth=3), "the model has no place for blocks.2."),
        (lambda: model(depth=1), "it lacks blocks.1."),
        (lambda: model(embed_dim=16), r"shapes differ of blocks.0.attn.gaug.log_alpha.weight \[1, 8\] for \[1, 12\]"),
        (lambda: model("locatswin_tiny"), "it lacks cls_token"),
        (lambda: model(init_values=0.1), "the model has no place for blocks.0.ls1.gamma"),
        (lambda: timm.create_model("resnet10t"), "it lacks cls_token"),
    ],
)
def test_another_architecture_is_refused(given: Any, words: str) -> None:
    with pytest.raises(WeightsError, match=f"file does not fit locatvit_tiny: .*{words}"):
        fitted(model(), weights(given()))


def test_files_of_several_programs_are_read_and_nothing_in_them_is_run(tmp_path: Path) -> None:
    one, other = model().state_dict(), model(seed=1).state_dict()
    torch.save({"state_dict": one, "state_dict_ema": other, "args": argparse.Namespace(lr=1)}, tmp_path / "timm.pth")
    torch.save({"teacher": one, "student": {f"module.{k}": v for k, v in other.items()}}, tmp_path / "dino.pth")
    torch.save(one, tmp_path / "plain.pt")
    save_file(one, tmp_path / "model.safetensors")

    for name, choice, expected in [
        ("timm.pth", None, other),
        ("timm.pth", "model", one),
        ("timm.pth", "ema", other),
        ("dino.pth", None, one),
        ("dino.pth", "student", other),
        ("plain.pt", None, one),
        ("model.safetensors", None, one),
    ]:
        found = read_file(tmp_path / name, choice)
        assert found.tensors.keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in found.tensors.items())
        assert len(found.sha256) == 64
    with pytest.raises(WeightsError, match=r"timm.pth holds no weights that are called teacher; it holds ema, model$"):
        read_file(tmp_path / "timm.pth", "teacher")
    with pytest.raises(WeightsError, match=r"plain.pt holds no weights .* ema; leave out model.init.weights$"):
        read_file(tmp_path / "plain.pt", "ema")
    with pytest.raises(WeightsError, match=r"holds one model; leave out model.init.weights: ema"):
        read_file(tmp_path / "model.safetensors", "ema")


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old pickle"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, old: bool) -> None:
    held = {"model": {"w": torch.zeros(1)}, "extra": Bomb(tmp_path / "ran")}
    torch.save(held, tmp_path / "bomb.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(WeightsError, match=r"bomb.pth holds code beside its weights \(posix.mkdir\)"):
        read_file(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.safetensors", b"\x10", "cannot be read"),
        ("model.pth", b"PK\x03\x04 no zip", "is no file of weights"),
        ("model.pth", b"", "is no file of weights"),
        ("model.npz", b"", "weights are in files that end with"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=words) as error:
        read_file(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_file_that_was_cut_short_says_so(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(10_000)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:20_000])
    with pytest.raises(WeightsError, match=r"cut.pth cannot be read, or is cut short: Invalid argument$"):
        read_file(tmp_path / "cut.pth")


def test_files_and_folders_without_weights_say_so(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "number.pth")
    for name in ("list.pth", "number.pth"):
        with pytest.raises(WeightsError, match="holds no weights: no tensors by name"):
            read_file(tmp_path / name)
    with pytest.raises(WeightsError, match=r"several: list.pth, number.pth; name one"):
        read_folder(tmp_path)
    with pytest.raises(WeightsError, match=r"none.pth cannot be read"):
        read(Init(source=str(tmp_path / "none.pth")), None, "")


def test_timm_without_registered_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="timm has no weights on the Hub for 'locatvit_small'"):
        read(Init(source="timm"), timm.create_model("locatvit_small", **VIT), "locatvit_small")


@pytest.mark.parametrize("about", ['{"mean": [1, 2]}', '{"std": [1, 0, 1]}', '{"mean": ["a", 1, 1]}', "{"])
def test_statistics_that_are_none_are_refused(tmp_path: Path, about: str) -> None:
    save_file({"w": torch.zeros(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(about)
    with pytest.raises(WeightsError, match=r"config.json(:| cannot be read)"):
        read_folder(tmp_path)
