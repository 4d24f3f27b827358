"""Models from configs and folders, and the user's mistakes."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from locat.config import Model
from locat.contract.errors import ConfigError, WeightsError
from locat.contract.plugins import PluginError
from locat.models.create import create_model, load_backbone, save_model, title
from support.packages import install

ARGS = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}


@pytest.fixture
def folder(tmp_path):
    save_model(create_model(Model(name="locatvit_tiny", args=ARGS)), tmp_path)
    return tmp_path


def test_a_config_is_what_timm_creates():
    model = create_model(Model(name="locatvit_tiny", args=ARGS))
    assert type(model) is type(timm.create_model("locatvit_tiny", **ARGS))
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 5)


def test_unknown_names_and_arguments_are_config_errors():
    with pytest.raises(ConfigError, match=r"'locatvit_tini'; did you mean 'locatvit_tiny'"):
        create_model(Model(name="locatvit_tini"))
    with pytest.raises(ConfigError, match="no_such_argument"):
        create_model(Model(name="locatvit_tiny", args={"no_such_argument": 1}))
    with pytest.raises(ConfigError, match="divisible"):
        create_model(Model(name="locatvit_tiny", args={"embed_dim": 10}))


REGISTERED = """
import timm
from timm.models import register_model

@register_model
def registered_net(pretrained=False, **args):
    return timm.create_model("vit_tiny_patch16_224", **args)
"""
PLAIN = """
def plain_net(pretrained=False, **args):
    import timm
    return timm.create_model("vit_tiny_patch16_224", **args)
"""


def test_a_package_adds_a_model_that_timm_is_told_of(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "nets", {"locat.models": "registered_net = nets\nother_net = nets"}, REGISTERED)
    with pytest.raises(ConfigError, match=r"'registered_nets'; did you mean 'registered_net'"):
        create_model(Model(name="registered_nets"))
    with pytest.raises(
        PluginError, match=r"package nets: entry point other_net = nets .* registers no model 'other_net'"
    ):
        create_model(Model(name="other_net"))
    assert create_model(Model(name="registered_net", args=ARGS)).num_classes == 5


def test_a_package_adds_a_model_that_a_function_makes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "plain", {"locat.models": "plain_net = plain:plain_net"}, PLAIN)
    save_model(create_model(Model(name="plain_net", args=ARGS)), tmp_path / "left", **ARGS)
    assert load_backbone(tmp_path / "left")[1] == "plain_net"


def test_what_is_no_timm_model_is_refused_before_it_is_trained(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    code = "import torch\ndef module_net(pretrained=False, **args):\n    return torch.nn.Linear(2, 2)\n"
    install(tmp_path, "bare", {"locat.models": "module_net = bare:module_net"}, code)
    with pytest.raises(
        ConfigError, match="has no pretrained_cfg, num_classes, num_features, by which timm saves a model"
    ):
        create_model(Model(name="module_net"))


def test_a_folder_gives_the_model_its_weights_and_name(folder):
    model, name = load_backbone(folder)
    assert name == "locatvit_tiny"
    saved = load_file(folder / "model.safetensors")
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())


def test_a_title_tells_ablations_apart(tmp_path):
    args = {**ARGS, "gaug": "isotropic", "prr": False}
    save_model(create_model(Model(name="locatvit_tiny", args=args)), tmp_path, **args)
    assert (
        load_backbone(tmp_path)[1]
        == title(Model(name="locatvit_tiny", args=args))
        == "locatvit_tiny, gaug=isotropic, prr=False"
    )


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_weights_load_as_a_pretrained_file(folder, tmp_path, ending):
    saved = load_file(folder / "model.safetensors")
    file = tmp_path / f"weights.{ending}"
    save_file(saved, file) if ending == "safetensors" else torch.save(saved, file)
    overlay = {"file": str(file), "num_classes": 5}
    model = timm.create_model("locatvit_tiny", pretrained=True, pretrained_cfg_overlay=overlay, **ARGS)
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())


def test_weights_that_do_not_fit_are_all_listed(folder):
    weights = load_file(folder / "model.safetensors")
    weights["blocks.0.attn.gaug.log_var.weight"] = torch.zeros(3, 8)
    weights["stranger"] = torch.zeros(1)
    del weights["norm.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(WeightsError) as error:
        load_backbone(folder)
    for part in ("blocks.0.attn.gaug.log_var.weight", "[3, 8]", "[2, 8]", "stranger", "norm.weight"):
        assert part in str(error.value)


@pytest.mark.parametrize("damage", ["nothing", "no weights", "no json", "unknown model", "truncated"])
def test_a_folder_without_a_model_is_a_weights_error(folder, damage):
    config, weights = folder / "config.json", folder / "model.safetensors"
    match damage:
        case "nothing":
            config.unlink()
        case "no weights":
            weights.unlink()
        case "no json":
            config.write_text("{")
        case "unknown model":
            config.write_text(json.dumps({**json.loads(config.read_text()), "architecture": "nonesuch"}))
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=str(folder)):
        load_backbone(folder)
