"""Reading a mask: the labels that its file holds, as numbers, at any bit depth.

Pillow shows them as brightness: of 4-bit grey it makes 17 times, of 2-bit grey 85 times the label.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from locat.contract.errors import DataError
from locat.contract.names import one_line_path
from locat.data.intake.files import read
from locat.data.intake.pictures import Undecodable, opened

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTH, KIND = 24, 25
"""Places in a PNG file: bits per channel, and which channels there are."""
GREY, PALETTE = 0, 3
KINDS = {2: "RGB colours", 4: "grey with transparency", 6: "RGB colours with transparency"}
MOST_PIXELS = 65_500**2
"""Of a mask: no JPEG, and so no image, has more."""
STEPS = {2: 85, 4: 17}
"""By bit depth, what Pillow multiplies grey levels with."""


def read_png(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Labels (H, W) of a PNG, grey of 1 to 16 bits or with a palette, whose colours do not matter.

    Raises:
        DataError: it is none, or damaged; colours do not say which label they stand for.
    """
    try:
        return png_labels(read(path))
    except Undecodable as error:
        raise DataError(
            f"{one_line_path(path)}: not a PNG of labels ({error}); save the labels as grey levels or palette indices, "
            "or download it again"
        ) from error


def png_labels(content: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """As `read_png`, of the content of a file; Undecodable says what it is instead."""
    if not content.startswith(SIGNATURE) or len(content) <= KIND:
        raise Undecodable("it does not begin as a PNG does")
    depth, kind = content[DEPTH], content[KIND]
    if kind not in (GREY, PALETTE):
        raise Undecodable(f"it holds {KINDS.get(kind, 'something else')}")
    with opened(content, MOST_PIXELS) as image:
        found = np.array(image)
    labels: NDArray[np.uint8] | NDArray[np.uint16] = found.astype(np.uint8) if found.dtype == bool else found
    return labels // STEPS[depth] if kind == GREY and depth in STEPS else labels
