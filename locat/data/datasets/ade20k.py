"""ADE20K's scene parsing benchmark (Zhou et al. 2017), as ADEChallengeData2016.zip unpacks."""

from pathlib import Path

import numpy as np

from locat.config.datasets import Ade20k
from locat.data.datasets.base import Split
from locat.data.datasets.masked_images import MaskedImages, check_count, pair_up
from locat.data.intake.masks import read_png
from locat.data.labels import IGNORED

FOLDERS: dict[Split, str] = {"train": "training", "val": "validation"}
COUNTS: dict[Split, int] = {"train": 20_210, "val": 2_000}

CLASSES = tuple(
    """wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door,
    table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair,
    seat, fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers,
    counter, sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table,
    pillow, screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench,
    countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel,
    light, truck, tower, chandelier, awning, streetlight, booth, television, airplane, dirt track, apparel, pole, land,
    bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer,
    plaything, swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step,
    tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase,
    traffic light, tray, ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock,
    flag""".replace("\n   ", "").split(", ")
)

TABLE = np.array([IGNORED, *range(len(CLASSES))], np.uint8)
"""Label 0 is "other"."""


def from_config(config: Ade20k) -> dict[Split, MaskedImages]:
    """As `ade20k`."""
    return ade20k(config.source, config.complete)


def ade20k(source: Path, complete: bool = True) -> dict[Split, MaskedImages]:
    """Both splits of the folder ADEChallengeData2016.

    Raises:
        DataError: it is not laid out as it is distributed, or, if it is to be `complete`, lacks images.
    """
    splits: dict[Split, MaskedImages] = {}
    for split, folder in FOLDERS.items():
        images = source / "images" / folder
        pairs = pair_up(images, source / "annotations" / folder)
        if complete:
            check_count(pairs, COUNTS[split], images)
        splits[split] = MaskedImages("ADE20K", CLASSES, pairs, read_png, TABLE)
    return splits
