"""COCO-Stuff 164k (Caesar et al. 2018): COCO 2017's images with stuffthingmaps_trainval2017.zip's masks."""

from pathlib import Path

import numpy as np

from locat.config.datasets import CocoStuff
from locat.data.datasets.base import Split
from locat.data.datasets.masked_images import INVALID, MaskedImages, check_count, pair_up
from locat.data.intake.masks import read_png
from locat.data.labels import IGNORED

FOLDERS: dict[Split, str] = {"train": "train2017", "val": "val2017"}
COUNTS: dict[Split, int] = {"train": 118_287, "val": 5_000}

LABELS = 182
"""In the PNGs: 91 things, then 91 kinds of stuff."""
UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
"""Things that were named but never annotated; the classes are what is left, in order (the owners' train ids)."""

CLASSES = tuple(
    """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
    teddy bear, hair drier, toothbrush, banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard,
    carpet, ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
    door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog, food-other, fruit,
    furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat, metal, mirror-stuff, moss, mountain,
    mud, napkin, net, paper, pavement, pillow, plant-other, plastic, platform, playingfield, railing, railroad, river,
    road, rock, roof, rug, salad, sand, sea, shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw,
    structural-other, table, tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other,
    wall-panel, wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other,
    wood""".replace("\n   ", "").split(", ")
)

TABLE = np.full(256, INVALID, np.uint8)
TABLE[[label for label in range(LABELS) if label not in UNUSED]] = np.arange(len(CLASSES))
TABLE[IGNORED] = IGNORED


def from_config(config: CocoStuff) -> dict[Split, MaskedImages]:
    """As `coco_stuff`."""
    return coco_stuff(config.source, config.complete)


def coco_stuff(source: Path, complete: bool = True) -> dict[Split, MaskedImages]:
    """Both splits of the folder with train2017/, val2017/ and stuffthingmaps/.

    Raises:
        DataError: it is not laid out so, or, if it is to be `complete`, lacks images.
    """
    splits: dict[Split, MaskedImages] = {}
    for split, folder in FOLDERS.items():
        images = source / folder
        pairs = pair_up(images, source / "stuffthingmaps" / folder)
        if complete:
            check_count(pairs, COUNTS[split], images)
        splits[split] = MaskedImages("COCO-Stuff", CLASSES, pairs, read_png, TABLE)
    return splits
