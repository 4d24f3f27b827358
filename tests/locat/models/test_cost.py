"""FLOPs against counts by hand, and against the paper's table."""

import pytest
import timm
import torch
from torch import nn

import locat.models  # noqa: F401
from locat.contract.published import TAB_1
from locat.models.cost import LAYER_NORM, cost, count_flops


def by_hand(dim: int, tokens: int = 197, patches: int = 196, depth: int = 12, classes: int = 1000) -> int:
    """A ViT with patch 16: projections, attention and MLP of each block, norms, patch embedding and head."""
    block = 12 * tokens * dim**2 + 2 * tokens**2 * dim
    norms = (2 * depth + 1) * LAYER_NORM * tokens * dim
    return depth * block + norms + patches * 768 * dim + classes * dim


def test_a_vit_is_counted_as_by_hand():
    assert cost("vit_tiny_patch16_224") == (5_717_416, by_hand(192), by_hand(192))


def test_locat_adds_gaugs_maps_and_prr():
    dim, heads, tokens = 192, 3, 197
    maps = 12 * heads * tokens * 64 * 3  # of the [CLS] token too, which has no use for them
    one_row, every_row = 2 * tokens * dim, 2 * tokens**2 * dim
    assert cost("locatvit_tiny") == (5_719_756, by_hand(dim) + maps + one_row, by_hand(dim) + maps + every_row)


@pytest.mark.parametrize("published", [row for row in TAB_1 if "tiny" in row.model], ids=lambda row: row.model)
def test_the_papers_flops_within_a_unit_of_the_last_digit(published):
    own = cost(published.model)
    assert round(own.flops_refining_all / 1e9, 2) == pytest.approx(published.flops, abs=0.011)
    if "jumbo" not in published.model:
        assert round(own.parameters / 1e6) == pytest.approx(published.params, abs=1)


@pytest.mark.parametrize(
    ("arguments", "tiny", "base"),
    [
        ({}, (17.35, 1.40), (260.50, 19.75)),
        ({"jumbo_tokens": 3}, (8.78, 1.29), (130.69, 18.11)),
        ({"jumbo_mlp_ratio": 1}, (9.38, 1.31), (133.08, 18.22)),
    ],
)
def test_what_the_note_says_of_jumbo(arguments, tiny, base):
    for name, expected in (("jumbo_tiny", tiny), ("jumbo_base", base)):
        with torch.device("meta"):
            model = timm.create_model(name, **arguments).eval()
            counts = sum(p.numel() for p in model.parameters()) / 1e6, count_flops(model) / 1e9
        assert counts == pytest.approx(expected, abs=0.006)


def test_counting_leaves_no_device_behind():
    cost("locatvit_tiny")
    assert nn.Linear(2, 2).weight.device == torch.device("cpu")
    assert timm.create_model("locatvit_tiny", depth=1)(torch.zeros(1, 3, 224, 224)).shape == (1, 1000)
