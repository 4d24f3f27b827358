"""The ablations against their formulas, and the paper's parameter counts (Tab. 6)."""

import pytest
import timm
import torch
from torch.nn.functional import softplus

import locat.models  # noqa: F401
from locat.models.variants import VARIANTS
from support.model_reference import dense_bias, literal_eps

GRID, INITIAL, HEADS, HEAD_DIM = (2, 3), (4, 3), 2, 5
C, SCALE = 16, 2 / 3


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    q, k = torch.randn(2, 3, HEADS, 6, HEAD_DIM, dtype=torch.float64).transpose(0, 1)[:2].unbind(0)
    return q[None, 0], k[None, 0], torch.randn(1, 6, HEADS * HEAD_DIM, dtype=torch.float64)


def bounded(log_var):
    return C * torch.sigmoid(log_var - torch.log(torch.tensor(C - 1.0, dtype=torch.float64))) * SCALE


def heads_apart(values):
    return values.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def formula(name, gaug, q, k, x):
    """Variance at this grid and alpha, as the paper's ablation says."""
    ones = torch.ones(1, HEADS, 6, 1, dtype=torch.float64)
    match name:
        case "paper":
            return bounded(gaug.log_var(q)), softplus(gaug.log_alpha(q))
        case "from-input":
            return bounded(heads_apart(gaug.log_var(x))), softplus(heads_apart(gaug.log_alpha(x)))
        case "isotropic":
            return bounded(gaug.log_var(q)).repeat(1, 1, 1, 2), softplus(gaug.log_alpha(q))
        case "unscaled":
            return bounded(gaug.log_var(q)), ones
        case "auto-alpha":
            lengths = q.pow(2).sum(-1).sqrt(), k.pow(2).sum(-1).sqrt()
            alpha = (lengths[0][..., :, None] * lengths[1][..., None, :]).mean(-1, keepdim=True) / HEAD_DIM**0.5
            return bounded(gaug.log_var(q)), alpha
        case _:
            sigma = float(name.removeprefix("fixed-"))
            return sigma**2 * SCALE * ones.repeat(1, 1, 1, 2), ones


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "rotated"])
def test_each_ablation_is_its_formula(name, inputs):
    torch.manual_seed(1)
    gaug = VARIANTS[name](HEAD_DIM, HEADS, dtype=torch.float64)
    for parameter in gaug.parameters():
        torch.nn.init.normal_(parameter)
    variance, alpha = formula(name, gaug, *inputs)
    expected = dense_bias(variance, alpha, literal_eps(INITIAL), GRID, INITIAL, prefix=1)
    torch.testing.assert_close(gaug(*inputs, GRID, INITIAL).bias(1), expected)


def test_auto_alpha_is_the_mean_over_the_keys_of_all_tokens(inputs):
    """Eq. 18: over N = 1 + h * w keys, [CLS]'s among them."""
    torch.manual_seed(1)
    gaug = VARIANTS["auto-alpha"](HEAD_DIM, HEADS, dtype=torch.float64)
    q, k = (torch.cat([5 * torch.randn_like(part[:, :, :1]), part], dim=2) for part in inputs[:2])
    x = torch.zeros(1, 7, HEADS * HEAD_DIM, dtype=torch.float64)
    found = gaug(q, k, x, GRID, INITIAL).alpha
    for head in range(HEADS):
        for patch in range(6):
            lengths = [q[0, head, 1 + patch].norm() * k[0, head, key].norm() for key in range(7)]
            torch.testing.assert_close(found[0, head, patch, 0], sum(lengths) / 7 / HEAD_DIM**0.5)


@pytest.mark.parametrize(
    ("name", "tiny", "base"),
    [
        ("paper", 0, 0),
        ("from-input", 18_504, 329_868),
        ("isotropic", -780, -780),
        ("fixed-1", -2_340, -2_340),
        ("fixed-5", -2_340, -2_340),
        ("fixed-10", -2_340, -2_340),
        ("unscaled", -780, -780),
        ("auto-alpha", -780, -780),
        ("rotated", 780, 780),
    ],
)
def test_parameter_differences_are_the_papers(name, tiny, base):
    for size, difference in (("tiny", tiny), ("base", base)):
        with torch.device("meta"):
            ablation, paper = (timm.create_model(f"locatvit_{size}", gaug=gaug) for gaug in (name, True))
        counts = [sum(p.numel() for p in model.parameters()) for model in (ablation, paper)]
        assert counts[0] - counts[1] == difference


def test_ablations_of_the_parts():
    images = torch.randn(1, 3, 32, 32)
    options = {"img_size": 32, "embed_dim": 24, "depth": 2}
    for arguments in ({"gaug": False}, {"prr": False}, {"global_pool": "avg"}, {"pos_embed": "none"}):
        assert timm.create_model("locatvit_tiny", **options, **arguments)(images).shape == (1, 1000)
    plain = timm.create_model("vit_tiny_patch16_224", **options).eval()
    neither = timm.create_model("locatvit_tiny", **options, gaug=False, prr=False).eval()
    neither.load_state_dict(plain.state_dict())
    torch.testing.assert_close(neither(images), plain(images))


def test_an_unknown_ablation_is_refused():
    with pytest.raises(ValueError, match="isotropic"):
        timm.create_model("locatvit_tiny", gaug="isotropc")
