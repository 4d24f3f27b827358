"""What two folders of images and masks hold, as JSON: `python -m locat.data.survey IMAGES MASKS`, for `launcher init`.

Exit code 2, with one sentence, where they are no `mask_folder`.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from locat.config.mask_classes import MOST, UNLABELLED, shown
from locat.config.mask_folder import HeldOut, MaskedSplit
from locat.contract.errors import DataError, UserError
from locat.contract.names import one_line_path
from locat.contract.text import speak
from locat.data.datasets.mask_folder import hold_out, pair_up
from locat.data.datasets.masked_images import Pair
from locat.data.intake.own_masks import read_colours, read_numbers

MOST_MASKS = 1000
"""That are looked at, from all over the folder."""
TWO = {(0, 1), (0, 255)}
"""Numbers of what is there and what is not."""


def survey(images: Path, masks: Path) -> dict[str, Any]:
    """Whether there are folders train/ and val/, how many pairs to train on, and which classes their masks have.

    Raises:
        DataError: they do not pair, or the masks do not hold classes.
    """
    parts = [MaskedSplit(images=images / name, masks=masks / name) for name in ("train", "val")]
    if all(folder.is_dir() for part in parts for folder in (part.images, part.masks)):
        train, val = (pair_up(part, other) for part, other in zip(parts, reversed(parts), strict=True))
        return {"splits": True, "train": len(train), "classes": classes_in([*train, *val], masks)}
    pairs = pair_up(MaskedSplit(images=images, masks=masks))
    rest, _ = hold_out(pairs, HeldOut(), images)
    return {"splits": False, "train": len(rest), "classes": classes_in(pairs, masks)}


def classes_in(pairs: Sequence[Pair], folder: Path) -> dict[str, str]:
    """A name for each number or colour in the masks, as `classes` of a mask_folder takes it."""
    step = -(-len(pairs) // MOST_MASKS)
    chosen = [pair.mask for pair in pairs[::step]]
    read: Callable[[Path], NDArray[Any]] = read_numbers
    try:
        read_numbers(chosen[0])
    except DataError as of_numbers:
        try:
            read_colours(chosen[0])
        except DataError:
            raise of_numbers from None
        read = read_colours
    coloured = read is read_colours
    no_class = set() if coloured else {UNLABELLED}
    found: set[int] = set()
    for path in chosen:
        found.update(np.unique(read(path)).tolist())
        if len(found - no_class) > MOST:
            kind = "colours" if coloured else "numbers"
            raise DataError(
                f"{one_line_path(folder)}: more than {MOST} {kind} are in the masks, too many to be classes; were they "
                "saved with soft edges, or do they number objects?"
            )
    if tuple(sorted(found)) in TWO and not coloured:
        return {str(label): name for label, name in zip(sorted(found), ("background", "foreground"), strict=True)}
    found = found - no_class or found
    return {shown(label, coloured): f"class {shown(label, coloured).lstrip('#')}" for label in sorted(found)}


def main() -> int:
    """Print the survey of the folders that the command line names."""
    speak()
    try:
        print(json.dumps(survey(*map(Path, sys.argv[1:]))))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
