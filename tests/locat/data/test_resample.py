import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from locat.data.resample import BICUBIC, BILINEAR, resample, room
from locat.data.views import CUT

sides = st.integers(1, 150)


def pillow(image: np.ndarray, height: int, width: int, kind: int) -> np.ndarray:
    """Rows first, then columns: the order that some versions of Pillow exchange for tall images."""
    rows = Image.fromarray(image).resize((width, len(image)), Image.Resampling(kind))
    return np.asarray(rows.resize((width, height), Image.Resampling(kind)))


@settings(deadline=None, max_examples=100)
@given(sides, sides, sides, sides, st.sampled_from([BILINEAR, BICUBIC]), st.booleans(), st.data())
def test_a_cut_is_pillows(
    height: int, width: int, whole_height: int, whole_width: int, kind: int, flip: bool, data: st.DataObject
) -> None:
    top, left = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 20))
    image = np.random.default_rng(height * 1000 + width).integers(0, 256, (top + height, left + width + 5, 3), np.uint8)
    out_height, out_width = data.draw(st.integers(1, whole_height)), data.draw(st.integers(1, whole_width))
    out_top = data.draw(st.integers(0, whole_height - out_height))
    out_left = data.draw(st.integers(0, whole_width - out_width))
    cut = np.zeros(1, CUT)
    cut[0] = (
        *(top, left, height, width, whole_height, whole_width, kind),
        *(out_top, out_left, out_height, out_width, flip, 0),
    )
    out = np.empty((out_height, out_width, 3), np.uint8)
    behind = np.full(room(image.shape[1]), height, np.uint8)
    resample(np.concatenate([image.reshape(-1), behind]), image.shape[1], cut[0], out.reshape(-1))
    whole = pillow(image[top:, left : left + width], whole_height, whole_width, kind)
    expected = whole[out_top : out_top + out_height, out_left : out_left + out_width]
    assert np.array_equal(out, expected[:, ::-1] if flip else expected)
