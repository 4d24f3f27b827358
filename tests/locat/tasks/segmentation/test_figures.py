"""What a segmentation job draws, read back from the figures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from locat.contract.job_folder import JobFolder
from locat.data.labels import IGNORED
from locat.tasks.segmentation import figures
from locat.tasks.segmentation.figures import (
    TOLD_APART,
    UNKNOWN_COLOUR,
    WRONG_COLOUR,
    Picture,
    blend,
    class_colours,
    confusion_figure,
    iou_figure,
    overlay_figure,
)
from locat.tasks.segmentation.report import write_report

NAMES = ("sky", "tree", "road")
MANY = tuple(f"class {number}" for number in range(171))


def picture() -> Picture:
    """The left half is of class 0 and found, but for a corner; the right is not labelled; a pixel is of class 2."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    truth = np.zeros((20, 30), np.uint8)
    truth[:, 15:] = IGNORED
    prediction = np.zeros_like(truth)
    prediction[:5, :5] = 1
    truth[19, 0] = prediction[19, 0] = 2
    return Picture(image, truth, prediction)


def texts(figure: Figure) -> list[list[str]]:
    """What stands in each picture."""
    return [[text.get_text() for text in axis.texts] for axis in figure.axes]


@pytest.fixture(autouse=True)
def closed() -> None:
    plt.close("all")


def test_the_error_is_right_wrong_or_not_known_and_the_legends_say_so() -> None:
    figure = overlay_figure([picture()], NAMES, "title")
    assert [axis.get_title() for axis in figure.axes] == ["image", "truth", "prediction", "error"]
    error = np.asarray(figure.axes[3].images[0].get_array())
    assert (error[:5, :5] == WRONG_COLOUR).all() and (error[:, 15:] == UNKNOWN_COLOUR).all()
    assert (error[5:, :15] == 1).all() and (error[:5, 5:15] == 1).all()
    legends = [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]
    assert legends == [[*NAMES, "not labelled"], ["right", "wrong", "not labelled"]]
    assert texts(figure) == [[], [], [], []]


@pytest.mark.parametrize("classes", [TOLD_APART + 1, len(MANY)])
def test_among_more_classes_than_all_can_tell_apart_the_large_ones_are_named(classes: int) -> None:
    figure = overlay_figure([picture()], MANY[:classes], "title")
    assert texts(figure) == [[], ["class 0"], ["class 0", "class 1"], []]
    _, corner = figure.axes[2].texts
    column, row = corner.get_position()
    assert (column, row) == (2, 2) and corner.get_horizontalalignment() == "left"


@pytest.mark.parametrize("classes", [11, 59, 150, 171])
def test_every_class_has_a_colour_of_its_own_and_none_is_grey(classes: int) -> None:
    colours = class_colours(classes)
    assert len(np.unique(colours[:classes].round(3), axis=0)) == classes
    assert (np.ptp(colours[:classes], axis=1) > 0.05).all()
    assert (colours[IGNORED] == UNKNOWN_COLOUR).all()


def test_a_class_has_the_same_hue_over_every_image() -> None:
    colour = np.broadcast_to([0.9, 0.2, 0.1], (20, 30, 3))
    blended = blend(picture().image, colour)
    assert blended.min() >= 0 and blended.max() <= 1
    assert np.allclose(blended[..., 0] - blended[..., 1], 0.65 * 0.7)


def test_bars_come_in_order_and_absent_classes_last() -> None:
    iou = np.array([12.0, np.nan, 80.0])
    axis = iou_figure(iou, NAMES, "title").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["road", "sky", "tree"]
    assert [text.get_text() for text in axis.texts] == ["80.0", "12.0", "absent"]


def test_bars_of_many_classes_stand_in_columns_of_like_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "BARS", 4)
    figure = iou_figure(np.linspace(0, 90, 9), MANY[:9], "title")
    assert [len(axis.patches) for axis in figure.axes] == [3, 3, 3]


def test_a_class_without_true_pixels_has_no_shares() -> None:
    figure = confusion_figure(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 5]]), NAMES, "title")
    shares = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    np.testing.assert_equal(shares, [[0.75, 0.25, 0], [np.nan] * 3, [0, 0, 1]])


def test_the_tables_say_what_the_confusion_matrix_says(tmp_path: Path) -> None:
    confusion = torch.tensor([[3, 1, 0], [0, 0, 0], [0, 0, 0]])
    job = JobFolder(tmp_path)
    write_report(job, "title", NAMES, confusion, [picture()])
    rows = json.loads((job.outputs / "classes.json").read_text())
    assert rows == [
        {"class": "sky", "iou": 75, "accuracy": 75, "true_pixels": 4, "predicted_pixels": 3},
        {"class": "tree", "iou": 0, "accuracy": None, "true_pixels": 0, "predicted_pixels": 1},
        {"class": "road", "iou": None, "accuracy": None, "true_pixels": 0, "predicted_pixels": 0},
    ]
    lines = list(csv.reader((job.outputs / "classes.csv").open()))
    assert lines[1:] == [
        ["sky", "75.00", "75.00", "4", "3"],
        ["tree", "0.00", "", "0", "1"],
        ["road", "", "", "0", "0"],
    ]
    assert {path.name for path in job.figures.iterdir()} == {"overlays.png", "iou.png", "confusion.png"}
