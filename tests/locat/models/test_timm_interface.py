"""What timm asks of every registered model: features, widths, default configurations and symbolic tracing.

The same statements as timm's own test-suite for models, in sizes that cost milliseconds.
"""

import pytest
import timm
import torch
from timm.models import FeatureInfo, create_feature_extractor, get_notrace_functions, get_notrace_modules
from torchvision.models import feature_extraction

import locat.models  # noqa: F401
from locat.models.segmentation_head import patch_dim, patch_features
from support.model_reference import fill_for_parity

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 64, "window_size": 4, "embed_dim": 8, "depths": (2, 2, 2), "num_heads": (1, 2, 2), "num_classes": 5}
RELATED_WORK = {
    "cvt_21": {"depths": (1, 2, 3), "dims": (12, 12, 12), "num_classes": 5},
    "conformer_base": {"embed_dim": 12, "num_heads": 2, "channels": 8, "num_classes": 5},
}
"""Two models that are only ever frozen backbones: they have no `forward_features` and no classifier to reset."""

MODELS = timm.list_models(module=["vit", "rope_vit", "jumbo", "swin"])
TRACER = {"leaf_modules": get_notrace_modules(), "autowrap_functions": get_notrace_functions()}


def marks(name):
    """In small sizes, Small and Base are what Tiny is; Conformer has 12 blocks in all sizes."""
    return () if "tiny" in name else pytest.mark.slow


def small(name, **overrides):
    torch.manual_seed(0)
    sizes = RELATED_WORK.get(name, SWIN if "swin" in name else VIT)
    model = timm.create_model(name, **{**sizes, **overrides})
    if name in MODELS and not overrides.get("features_only"):
        fill_for_parity(model)
    return model.eval()


def images(name):
    side = 32 if name in MODELS and "swin" not in name else 64
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def channels(name):
    """The axis of the channels of `forward_features` and of maps from `features_only`."""
    return -1 if "swin" in name else 1


def test_every_module_of_models_is_tested():
    assert len(MODELS) == 20
    assert {name for name in MODELS if name.startswith("locat")} == set(timm.list_models("locat*")) - {"locat_attached"}
    assert set(RELATED_WORK) == set(timm.list_models(module=["conformer", "cvt"]))


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_widths_are_those_of_the_features_and_of_the_head(name):
    model = small(name)
    features = model.forward_features(images(name))
    pooled = model.forward_head(features, pre_logits=True)
    assert features.shape[-1] == model.num_features
    assert pooled.shape == (2, model.head_hidden_size)
    assert torch.equal(model.forward_head(features), model(images(name)))
    model.reset_classifier(0)
    assert model.num_classes == 0
    assert model(images(name)).shape == pooled.shape


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_without_a_classifier_they_return_what_num_features_says(name):
    model = small(name, num_classes=0)
    assert model(images(name)).shape == (2, model.num_features) == (2, model.head_hidden_size)
    tokens = small(name, num_classes=0, global_pool="")
    assert tokens(images(name)).shape[-1] == tokens.num_features


@pytest.mark.parametrize("name", [*MODELS, *RELATED_WORK])
@torch.no_grad()
def test_patches_have_the_width_that_heads_are_built_for(name):
    for options in ({}, {"num_classes": 0}) if name in MODELS else ({},):
        model = small(name, **options)
        assert patch_features(model, images(name)).shape[1] == patch_dim(model)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_intermediates_are_those_that_feature_info_tells(name):
    model = small(name)
    info = FeatureInfo(model.feature_info, len(model.feature_info))
    last, intermediates = model.forward_intermediates(images(name))
    side = images(name).shape[-1]
    expected = [
        (2, width, side // reduction, side // reduction)
        for width, reduction in zip(info.channels(), info.reduction(), strict=True)
    ]
    assert [tuple(part.shape) for part in intermediates] == expected
    assert len(expected) >= 3
    torch.testing.assert_close(last, model.forward_features(images(name)), rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_features_only(name):
    options = {"out_indices": (0, 1, 2)} if "swin" in name else {}
    model = small(name, features_only=True, **options)
    maps = model(images(name))
    side = images(name).shape[-1]
    assert len(maps) == len(model.feature_info.channels()) == 3
    for part, width, reduction in zip(maps, model.feature_info.channels(), model.feature_info.reduction(), strict=True):
        assert part.shape[channels(name)] == width
        assert sorted(part.shape) == sorted((2, width, side // reduction, side // reduction))
        assert part.isfinite().all()


@pytest.mark.parametrize("name", [*MODELS, *RELATED_WORK])
def test_default_configurations_name_layers_and_size(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    config, weights = model.default_cfg, model.state_dict()
    classifiers, first = config["classifier"], config["first_conv"]
    assert model.num_classes == config["num_classes"] == 1000
    for layer in (first, *([classifiers] if isinstance(classifiers, str) else classifiers)):
        assert f"{layer}.weight" in weights
    if config["fixed_input_size"]:
        assert model.patch_embed.img_size == config["input_size"][1:]
    if config["pool_size"]:
        features = model.forward_features(torch.empty(1, *config["input_size"], device="meta"))
        assert features.shape[1:3] == config["pool_size"]


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in [*MODELS, *RELATED_WORK]])
def test_traced_symbolically_they_compute_and_train_the_same(name):
    # A traced drop path forgets to divide by what it keeps: the extractor leaves out timm's in-place division.
    model = small(name, **({"drop_path_rate": 0.0} if name in MODELS else {}))
    train, evaluation = feature_extraction.get_graph_node_names(model, tracer_kwargs=TRACER)
    nodes = {"train_return_nodes": [train[-1]], "eval_return_nodes": [evaluation[-1]]}
    traced = feature_extraction.create_feature_extractor(model, **nodes, tracer_kwargs=TRACER)
    for training in (False, True):
        torch.manual_seed(0)
        (outputs,) = traced.train(training)(images(name)).values()
        torch.manual_seed(0)
        expected = model.train(training)(images(name))
        assert torch.equal(outputs, expected)
        gradients = [torch.autograd.grad(out.square().sum(), model.parameters()) for out in (outputs, expected)]
        torch.testing.assert_close(*gradients)  # threads sum those of Swin's position bias in any order


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("locat") and "swin" not in name])
@torch.no_grad()
def test_blocks_of_a_traced_model_can_be_read(name):
    """The model itself has seen no image before: the traced one notes the patch grid."""
    model = small(name)
    traced = create_feature_extractor(model, {"blocks.0.attn": "attention", "head": "logits"})
    seen = []
    model.blocks[0].attn.register_forward_hook(lambda _layer, _inputs, output: seen.append(output))
    found = traced(images(name))
    assert torch.equal(found["logits"], model(images(name)))
    assert torch.equal(found["attention"], seen[-1])
