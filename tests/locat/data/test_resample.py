import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from locat.data.resample import BICUBIC, BILINEAR, resample, room
from locat.data.views import CUT

sides = st.integers(1, 150)


Span = tuple[float, float]


def pillow(image: np.ndarray, down: Span, along: Span, height: int, width: int, kind: int) -> np.ndarray:
    """The part between `down` and `along`. Rows first, then columns: some versions of Pillow begin with tall ones'."""
    filter_, (top, bottom), (left, right) = Image.Resampling(kind), down, along
    rows = Image.fromarray(image).resize((width, len(image)), filter_, (left, 0, right, len(image)))
    return np.asarray(rows.resize((width, height), filter_, (0, top, width, bottom)))


@settings(deadline=None, max_examples=100)
@given(sides, sides, sides, sides, st.sampled_from([BILINEAR, BICUBIC]), st.booleans(), st.integers(0, 3), st.data())
def test_a_cut_is_pillows(
    height: int,
    width: int,
    whole_height: int,
    whole_width: int,
    kind: int,
    flip: bool,
    halvings: int,
    data: st.DataObject,
) -> None:
    """Of an image halved while it was decoded as well: the box then begins and ends within its pixels."""
    top, left = data.draw(st.integers(0, 20)), data.draw(st.integers(0, 20))
    rows, columns = (-(-side // 2**halvings) for side in (top + height, left + width + 5))
    image = np.random.default_rng(height * 1000 + width).integers(0, 256, (rows, columns, 3), np.uint8)
    out_height, out_width = data.draw(st.integers(1, whole_height)), data.draw(st.integers(1, whole_width))
    out_top = data.draw(st.integers(0, whole_height - out_height))
    out_left = data.draw(st.integers(0, whole_width - out_width))
    cut = np.zeros(1, CUT)
    cut[0] = (
        *(top, left, height, width, whole_height, whole_width, kind),
        *(out_top, out_left, out_height, out_width, flip, 0, 0),
    )
    out = np.empty((out_height, out_width, 3), np.uint8)
    behind = np.full(room(image.shape[1]), height, np.uint8)
    resample(np.concatenate([image.reshape(-1), behind]), image.shape[1], cut[0], halvings, out.reshape(-1))
    down, along = ([at / 2**halvings for at in (start, start + size)] for start, size in ((top, height), (left, width)))
    (first, last), (left_most, right_most) = ([math.floor(ends[0]), math.ceil(ends[1])] for ends in (down, along))
    part = image[first:last, left_most:right_most]
    whole = pillow(
        part,
        (down[0] - first, down[1] - first),
        (along[0] - left_most, along[1] - left_most),
        whole_height,
        whole_width,
        kind,
    )
    expected = whole[out_top : out_top + out_height, out_left : out_left + out_width]
    assert np.array_equal(out, expected[:, ::-1] if flip else expected)
