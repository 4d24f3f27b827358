"""What timm's users expect of a model, of every family in a small size."""

import copy

import pytest
import timm
import torch
from timm.optim import param_groups_weight_decay

import locat.models  # noqa: F401
from locat.models.attention import GAugAttention
from locat.models.create import save_model
from locat.models.gaug import GAug
from locat.models.prr import PRR
from support.model_reference import fill_for_parity

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}
SWIN = {"img_size": 32, "window_size": 4, "embed_dim": 8, "depths": (2, 2), "num_heads": (1, 2), "num_classes": 5}
PLAIN = ["vit_tiny_patch16_reg4_224", "vit_tiny_patch16_nope_224", "vit_tiny_patch16_rope_mixed_224", "jumbo_tiny"]
LOCAT_VITS = [
    "locatvit_tiny",
    "locatvit_tiny_reg4",
    "locatvit_tiny_nope",
    "locatvit_tiny_rope_mixed",
    "locatjumbo_tiny",
]
LOCAT = [*LOCAT_VITS, "locatswin_tiny"]
PARAMETERS = {
    "locatvit_tiny": 5_717_416 + 2_340,
    "locatvit_small": 22_050_664 + 2_340,
    "locatvit_base": 86_567_656 + 2_340,
}


def small(name: str, **overrides):
    model = timm.create_model(name, **{**(SWIN if "swin" in name else VIT), **overrides})
    fill_for_parity(model)
    return model


def images(size=(32, 32), batch=2):
    return torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", LOCAT + PLAIN)
def test_forward_and_a_gradient_for_every_parameter(name):
    model = small(name, drop_path_rate=0.1)
    logits = model(images())
    assert logits.shape == (2, 5)
    model.eval()(images()).square().sum().backward()
    idle = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # Plain Jumbo's head reads no patch, so nothing follows the last block's patch MLP.
    assert all(
        name == "jumbo_tiny" and key.startswith(("blocks.1.mlp", "blocks.1.norm2", "blocks.1.ls2")) for key in idle
    )
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OF_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize("size", ["tiny", "base"])
@pytest.mark.parametrize(
    ("plain", "locat", "statistics"),
    [
        ("vit_{}_patch16_224", "locatvit_{}", HALVES),
        ("vit_{}_patch16_reg4_224", "locatvit_{}_reg4", HALVES),
        ("vit_{}_patch16_nope_224", "locatvit_{}_nope", HALVES),
        ("jumbo_{}", "locatjumbo_{}", HALVES),
        ("swin_{}_patch4_window7_224", "locatswin_{}", OF_IMAGENET),
        ("vit_{}_patch16_rope_mixed_224", "locatvit_{}_rope_mixed", OF_IMAGENET),
    ],
)
def test_a_model_and_its_locat_form_see_the_statistics_of_the_release(plain, locat, statistics, size):
    for name in (plain, locat):
        expected = timm.get_pretrained_cfg(name.format(size))
        assert (expected.mean, expected.std) == statistics


@pytest.mark.parametrize("name", LOCAT)
def test_locat_is_in_every_block_and_before_the_head(name):
    model = small(name)
    blocks = sum(isinstance(module, torch.nn.Module) and hasattr(module, "drop_path1") for module in model.modules())
    assert sum(isinstance(module, GAug) for module in model.modules()) == blocks > 0
    assert sum(isinstance(module, PRR) for module in model.modules()) == 1
    model = small(name, gaug=False, prr=False)
    assert not any(isinstance(module, GAug | PRR) for module in model.modules())


@pytest.mark.parametrize("name", LOCAT)
def test_pooling_options(name):
    model = small(name).eval()
    features = model.forward_features(images())
    assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
    model.reset_classifier(3)
    assert model(images()).shape == (2, 3)
    assert any(isinstance(module, PRR) for module in model.modules())
    model.reset_classifier(0, "")
    assert model(images()).shape == features.shape
    assert not any(isinstance(module, PRR) for module in model.modules())
    assert small(name, num_classes=0, global_pool="").eval()(images()).shape == features.shape


@pytest.mark.parametrize("name", LOCAT + PLAIN)
def test_features_before_the_final_norm(name):
    model = small(name).eval()
    _, features = model.forward_intermediates(images(), indices=1)
    (only,) = timm.create_model(name, features_only=True, **{**(SWIN if "swin" in name else VIT), "out_indices": [1]})(
        images()
    )
    assert features[0].shape == (2, 16, 4, 4)
    assert only.shape == ((2, 4, 4, 16) if "swin" in name else (2, 16, 4, 4))


@pytest.mark.parametrize("name", LOCAT)
def test_dynamic_image_size_agrees_with_the_fixed_one_and_takes_others(name):
    fixed, dynamic = small(name).eval(), small(name, dynamic_img_size=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(dynamic(images()), fixed(images()))
        assert dynamic(images((48, 24))).shape == (2, 5)
        assert not torch.equal(dynamic(images((48, 24))), dynamic(images((24, 48))))


@pytest.mark.parametrize("name", LOCAT_VITS)
def test_padding_to_whole_patches(name):
    model = small(name, dynamic_img_size=True, dynamic_img_pad=True).eval()
    odd = images((27, 43))
    padded = torch.nn.functional.pad(odd, (0, 5, 0, 5))
    with torch.no_grad():
        torch.testing.assert_close(model(odd), model(padded))
        assert model.forward_intermediates(odd, indices=1, intermediates_only=True)[0].shape == (2, 16, 4, 6)


@pytest.mark.parametrize("name", LOCAT)
def test_a_resized_model_is_one_built_for_that_size(name):
    resized = small(name)
    resized.set_input_size(img_size=(48, 32))
    windows = {"window_size": [stage.blocks[0].window_size for stage in resized.layers]} if "swin" in name else {}
    built = small(name, img_size=(48, 32), **windows)
    built.load_state_dict(resized.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(resized.eval()(images((48, 32))), built.eval()(images((48, 32))))


@pytest.mark.parametrize("name", LOCAT)
def test_copies_do_not_share_their_grid(name):
    model = small(name, dynamic_img_size=True).eval()
    expected = model(images())
    twin = copy.deepcopy(model)
    twin(images((48, 48)))
    twin.zero_grad()
    assert not {
        id(m.patch_grid) for m in model.modules() if isinstance(m, GAugAttention) and hasattr(m, "patch_grid")
    } & {id(m.patch_grid) for m in twin.modules() if isinstance(m, GAugAttention) and hasattr(m, "patch_grid")}
    torch.testing.assert_close(model(images()), expected)


@pytest.mark.parametrize("name", LOCAT + PLAIN)
def test_what_is_exported_loads_by_plain_timm(name, tmp_path):
    model = small(name).eval()
    save_model(model, tmp_path)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert type(loaded) is type(model)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images()), model(images()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "pool"),
    [("locatvit_tiny", "token"), ("locatvit_tiny", "avg"), ("locatswin_tiny", ""), ("locatjumbo_tiny", "token")],
)
def test_an_export_remembers_that_prr_was_replaced(name, pool, tmp_path):
    model = small(name).eval()
    model.reset_classifier(5, pool)
    save_model(model, tmp_path)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    torch.testing.assert_close(loaded(images()), model(images()), rtol=0, atol=0)


@pytest.mark.parametrize("name", LOCAT)
def test_activation_checkpointing_recomputes_with_the_right_grid(name):
    model = small(name, dynamic_img_size=True).eval()

    def gradients():
        model.zero_grad()
        loss = sum(model(images(size)).square().sum() for size in ((32, 32), (48, 24)))
        loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    expected = gradients()
    model.set_grad_checkpointing()
    for gradient, expected_gradient in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LOCAT)
def test_autocast(name, dtype):
    model = timm.create_model(name, **(SWIN if "swin" in name else VIT)).eval()
    expected = model.forward_features(images())
    with torch.autocast("cpu", dtype=dtype):
        features = model.forward_features(images())
    torch.testing.assert_close(features.float(), expected, atol=0.1, rtol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCAT)
def test_compiles_and_exports_as_one_graph(name):
    model = small(name).eval()
    with torch.no_grad():
        expected = model(images())
        torch.testing.assert_close(torch.compile(model, fullgraph=True)(images()), expected)
        exported = torch.export.export(model, (images(),)).module()
        torch.testing.assert_close(exported(images()), expected)
    torch.compiler.reset()


def test_weight_decay_skips_biases_and_keeps_gaugs_maps():
    model = small("locatvit_tiny")
    no_decay, decay = param_groups_weight_decay(model, 0.05, no_weight_decay_list=model.no_weight_decay())
    gaug = model.blocks[0].attn.gaug
    assert any(gaug.log_var.weight is p for p in decay["params"])
    assert any(gaug.log_var.bias is p for p in no_decay["params"])
    assert no_decay["weight_decay"] == 0


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts(name, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in timm.create_model(name).parameters()) == count


@pytest.mark.parametrize("name", ["jumbo_tiny", "locatjumbo_tiny"])
def test_jumbo_starts_and_norms_as_the_release(name):
    """[CLS] of standard deviation 1e-6, and torch's own eps, 1e-5, in each norm that Jumbo adds to timm's."""
    model = timm.create_model(name, **{**VIT, "embed_dim": 192})
    assert 0.9e-6 < model.cls_token.std() < 1.1e-6
    added = {
        key: module for key, module in model.named_modules() if key.split(".")[-1] in ("norm", "norm3", "norm_patches")
    }
    assert added.keys() >= {"norm", "blocks.0.norm3"} and ("norm_patches" in added) == name.startswith("locat")
    assert {module.eps for module in added.values() if isinstance(module, torch.nn.LayerNorm)} == {1e-5}
    assert model.blocks[0].norm1.eps == model.blocks[0].norm2.eps == 1e-6
    x = torch.randn(2, 6 + 16, 192) * 1e-3  # small, so that eps counts
    joined = x[:, :6].reshape(2, -1)
    mean, variance = joined.mean(1, keepdim=True), joined.var(1, unbiased=False, keepdim=True)
    torch.testing.assert_close(model.norm(x)[:, :6].reshape(2, -1), (joined - mean) / (variance + 1e-5).sqrt())


def test_jumbo_starts_with_a_uniform_prediction_and_shares_one_mlp():
    model = timm.create_model("jumbo_tiny", **VIT)
    assert torch.allclose(model(images()).softmax(-1), torch.tensor(0.2))
    assert {id(block.jumbo_mlp) for block in model.blocks} == {id(model.jumbo_mlp)}
    with pytest.raises(ValueError, match="global_pool"):
        timm.create_model("jumbo_tiny", global_pool="avg")


def test_patch_dropout_is_refused():
    with pytest.raises(ValueError, match="patch_drop_rate"):
        timm.create_model("locatvit_tiny", **VIT, patch_drop_rate=0.5)
