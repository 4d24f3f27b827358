"""How GAug attention is computed: what is chosen, what can be demanded, and that nothing else changes."""

import logging

import pytest
import timm
import torch

import locat.models  # noqa: F401
from locat.contract.errors import ConfigError
from locat.models import gaussian_attention as chosen
from locat.models.gaug import GAug
from locat.models.gaussian_attention import gaussian_attention
from locat.models.kernels import native
from locat.models.rotated import Rotated

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2, "num_classes": 5}
IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def nothing_said_yet():
    chosen.announced.clear()


def inputs(gaug=GAug):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, 10, 16)
    return q, k, v, gaug(16, 2)(q[:, :, 1:], k[:, :, 1:], q, (3, 3), (3, 3)), 1


def trained(form, monkeypatch, **options):
    """A small model's output and gradients."""
    monkeypatch.setattr(chosen, "FORM", form)
    torch.manual_seed(0)
    model = timm.create_model("locatvit_tiny", **VIT, **options)
    out = model(IMAGES)
    out.square().sum().backward()
    return [out.detach(), *(parameter.grad for parameter in model.parameters())]


def test_both_forms_train_the_same_model(monkeypatch):
    for fused, separable in zip(trained("fused", monkeypatch), trained("separable", monkeypatch), strict=True):
        torch.testing.assert_close(fused, separable, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("obstacle", "said"),
    [
        (None, "GAug attention on cpu: fused"),
        ("there is no compiler", "GAug attention on cpu: fused, of torch's operations, for there is no compiler"),
    ],
)
def test_a_cpu_takes_the_operator_and_says_once_what_computes_it(caplog, monkeypatch, obstacle, said):
    monkeypatch.setattr(native, "obstacle", lambda _dtype: obstacle)
    caplog.set_level(logging.INFO)
    for _ in range(2):
        chosen.announce("cpu", None, chosen.why_not_compiled(torch.float32))
    assert [record.message for record in caplog.records] == [said]


@pytest.mark.parametrize(
    ("gaug", "extra", "why"),
    [
        (GAug, {"mask": torch.zeros(10, 10)}, "a mask is added"),
        (GAug, {"dropout": 0.1}, "attn_drop_rate"),
        (Rotated, {}, "rotated"),
    ],
)
def test_what_the_operator_cannot_do_is_separable_and_refused_where_fused_is_demanded(gaug, extra, why, caplog):
    caplog.set_level(logging.INFO)
    assert gaussian_attention(*inputs(gaug), **extra).shape == (2, 2, 10, 16)
    assert [why in record.message for record in caplog.records] == [True]
    with pytest.raises(ConfigError, match=why):
        gaussian_attention(*inputs(gaug), **extra, form="fused")


def test_dropped_attention_weights_are_supported(monkeypatch):
    results = trained("auto", monkeypatch, attn_drop_rate=0.5)
    assert all(torch.isfinite(part).all() for part in results)
    assert not torch.equal(results[0], trained("auto", monkeypatch)[0])


def test_an_unknown_form_is_a_mistake_in_the_environment():
    with pytest.raises(ConfigError, match=r"LOCAT_ATTENTION: 'flash' is not one of auto, fused, separable"):
        gaussian_attention(*inputs(), form="flash")


def test_a_device_without_kernels_is_separable():
    q, k, v, gaussians, prefix = inputs()
    gaussians = gaussians._replace(alpha=gaussians.alpha.to("meta"), variance=gaussians.variance.to("meta"))
    assert gaussian_attention(*(part.to("meta") for part in (q, k, v)), gaussians, prefix).shape == q.shape


@pytest.mark.slow
def test_an_exported_model_runs_without_locat_unless_fused_is_demanded(monkeypatch):
    model = timm.create_model("locatvit_tiny", **VIT).eval()

    def operators():
        with torch.no_grad():
            graph = torch.export.export(model, (IMAGES,)).graph
        return {str(node.target) for node in graph.nodes if "locat" in str(node.target)}

    assert operators() == set()
    monkeypatch.setattr(chosen, "FORM", "fused")
    assert operators() == {"locat.gaussian_attention.default"}


@pytest.mark.slow
def test_a_model_compiles_as_one_graph_with_the_operator_and_says_so_once(caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="locat.models.gaussian_attention")
    results = trained("fused", monkeypatch)
    chosen.announced.clear()
    caplog.clear()
    torch.manual_seed(0)
    model = timm.create_model("locatvit_tiny", **VIT)
    out = torch.compile(model, fullgraph=True, backend="aot_eager")(IMAGES)
    out.square().sum().backward()
    compiled = [out.detach(), *(parameter.grad for parameter in model.parameters())]
    for one, other in zip(results, compiled, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert len(caplog.records) == 1
    assert caplog.records[0].message.startswith("GAug attention on cpu: fused")
    torch.compiler.reset()
