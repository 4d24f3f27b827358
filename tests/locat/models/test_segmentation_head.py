"""The head as mmcv's ConvModule and mmsegmentation's decode head build and start it."""

import pytest
import torch

from locat.models.segmentation_head import SegmentationHead


def test_it_starts_as_the_releases() -> None:
    head = SegmentationHead(192, 512, 150)
    assert [name for name, _ in head.named_parameters()] == ["0.weight", "1.weight", "1.bias", "3.weight", "3.bias"]
    assert head[0].weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)  # 0.0625: by the outputs
    assert head[3].weight.std().item() == pytest.approx(0.01, rel=0.02) and not head[3].bias.any()
    assert (head[1].weight == 1).all() and not head[1].bias.any()


@torch.no_grad()
def test_it_is_convolution_norm_of_all_channels_gelu_and_convolution() -> None:
    head = SegmentationHead(6, 8, 5).double()
    x = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    hidden = torch.einsum("oi,bihw->bohw", head[0].weight[..., 0, 0], x).flatten(1)
    hidden = (hidden - hidden.mean(1, keepdim=True)) / (hidden.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    active = (hidden * (1 + torch.erf(hidden / 2**0.5)) / 2).unflatten(1, (8, 3, 4))
    torch.testing.assert_close(head(x), torch.einsum("oi,bihw->bohw", head[3].weight[..., 0, 0], active))
