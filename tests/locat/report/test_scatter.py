"""Top-1 against mIoU."""

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from locat.report.results import Origin, Result
from locat.report.scatter import scatter
from locat.report.tables import tables

DIGITS = "scikit-learn digits"


def picture(dataset: str, segmented: tuple[str, ...], models: dict[str, float]) -> Figure | None:
    origin = Origin("supervised", dataset)
    results = [Result("supervised", model, dataset, {"top1": top1}, origin, ("0",)) for model, top1 in models.items()]
    results += [
        Result("segment", model, target, {"miou": top1 / 2}, origin, ("0", "0"))
        for model, top1 in models.items()
        for target in segmented
    ]
    return scatter(tables(results)[0])


def arrows(figure: Figure) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """From where to where, in the first panel."""
    drawn = (child for child in figure.axes[0].get_children() if isinstance(child, Annotation))
    return [(arrow.xyann, arrow.xy) for arrow in drawn]


def test_an_arrow_leads_from_each_model_to_the_same_with_locat() -> None:
    figure = picture(DIGITS, (DIGITS,), {"vit_tiny_patch16_224": 60.0, "locatvit_tiny": 70.0, "jumbo_tiny": 65.0})
    assert figure is not None and len(figure.axes) == 1
    assert arrows(figure) == [((60.0, 30.0), (70.0, 35.0))]
    assert figure.axes[0].get_xlabel() == f"{DIGITS} top-1, %"


def test_each_segmentation_set_has_a_panel_and_the_papers_arrows_are_there_too() -> None:
    found = {"vit_tiny_patch16_224": 60.0, "locatvit_tiny": 70.0}
    figure = picture("ImageNet-1K", ("ADE20K", "COCO-Stuff"), found)
    assert figure is not None and len(figure.axes) == 2
    assert arrows(figure) == [((60.0, 30.0), (70.0, 35.0)), ((72.39, 17.3), (73.94, 23.47))]


@pytest.mark.parametrize("segmented", [(), ("ADE20K",)])
def test_without_both_numbers_of_any_model_there_is_no_picture(segmented: tuple[str, ...]) -> None:
    results = [
        Result("supervised", "vit_tiny_patch16_224", DIGITS, {"top1": 60.0}, Origin("supervised", DIGITS), ("0",))
    ]
    results += [
        Result("segment", "jumbo_tiny", name, {"miou": 9.0}, Origin("supervised", DIGITS), ("0",)) for name in segmented
    ]
    assert scatter(tables(results)[0]) is None
