"""Over 10,000 draws ours and timm's are two samples of one distribution."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from timm.data.auto_augment import LEVEL_TO_ARG, rand_augment_transform

from locat.config.augmentation import RandAugment
from locat.data.augment.draws import Draws
from locat.data.augment.rand_augment import NAMES, PHOTOMETRIC, Layer, apply_layer, draw_layers
from support.pil_reference import pictures

DRAWS = 10_000
Drawn = list[tuple[str, bool, float]]
"""Operation, whether it was applied, and its argument (0 where there is none)."""


@pytest.fixture(scope="module")
def drawn_by_timm() -> Drawn:
    """timm's own sampling, its image functions replaced by ones that write down what they are asked for."""
    transform = rand_augment_transform("rand-m9-mstd0.5-inc1", {"img_mean": (128, 128, 128)})
    record: Drawn = []
    applied: list[float] = []

    def note(image: None, *arguments: float, **_: object) -> None:
        applied.append(arguments[0] if arguments else 0.0)

    class Recorded:
        def __init__(self, operation: Callable[[None], None], name: str) -> None:
            self.operation, self.name = operation, name

        def __call__(self, image: None) -> None:
            applied.clear()
            self.operation(image)
            record.append((self.name, bool(applied), applied[0] if applied else 0.0))

    for operation in transform.ops:
        operation.aug_fn = note
    transform.ops = [Recorded(operation, operation.name) for operation in transform.ops]
    states = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(0)
    for _ in range(DRAWS // transform.num_layers):
        transform(None)
    random.setstate(states[0])
    np.random.set_state(states[1])
    return record


def draw(config: RandAugment) -> Drawn:
    layers = draw_layers(config, Draws(0, 0, torch.arange(DRAWS // config.layers)), "random")
    return [
        (NAMES[number], applied, argument if applied else 0.0)
        for layer in layers
        for number, applied, argument in zip(*(column.tolist() for column in layer[:3]), strict=True)
    ]


def arguments(drawn: Drawn, name: str) -> list[float]:
    return [argument for kind, applied, argument in drawn if applied and kind == name]


def magnitudes(drawn: Drawn) -> list[float]:
    """Of all operations from whose argument it can be had back, in 0..1."""
    greatest = {"Rotate": 30, "ShearX": 0.3, "ShearY": 0.3, "TranslateXRel": 0.45, "TranslateYRel": 0.45}
    moved = [abs(argument) / greatest[name] for name, applied, argument in drawn if applied and name in greatest]
    enhancements = ("ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing")
    return moved + [abs(argument - 1) / 0.9 for name, applied, argument in drawn if applied and name in enhancements]


def least_p(ours: Drawn, theirs: Drawn) -> float:
    """The least p-value of all tests, times their number (Bonferroni)."""
    cells = [(name, applied) for name in NAMES for applied in (False, True)]
    table = [[sum(drawn[:2] == cell for drawn in side) for cell in cells] for side in (ours, theirs)]
    values = [stats.chi2_contingency(table).pvalue, stats.ks_2samp(magnitudes(ours), magnitudes(theirs)).pvalue]
    values += [stats.ks_2samp(arguments(ours, name), arguments(theirs, name)).pvalue for name in NAMES]
    return min(values) * len(values)


def test_operations_are_timms_own(drawn_by_timm: Drawn) -> None:
    assert {name for name, _, _ in drawn_by_timm} == set(NAMES)
    assert len(drawn_by_timm) == DRAWS


def test_draws_are_distributed_as_timms(drawn_by_timm: Drawn) -> None:
    assert least_p(draw(RandAugment()), drawn_by_timm) > 0.05


@pytest.mark.parametrize("wrong", [RandAugment(magnitude=8.8), RandAugment(std=0.7), RandAugment(std=0)])
def test_other_magnitudes_are_told_apart(wrong: RandAugment, drawn_by_timm: Drawn) -> None:
    assert least_p(draw(wrong), drawn_by_timm) < 1e-6


def test_other_probabilities_and_signs_are_told_apart(drawn_by_timm: Drawn) -> None:
    ours = draw(RandAugment())
    more_often = [(name, applied or row % 4 == 0, argument) for row, (name, applied, argument) in enumerate(ours)]
    assert least_p(more_often, drawn_by_timm) < 1e-6
    one_sign = [(name, applied, abs(argument)) for name, applied, argument in ours]
    assert least_p(one_sign, drawn_by_timm) < 1e-6


def test_rounded_arguments_are_rounded_as_timm_rounds() -> None:
    level = torch.linspace(0, 1, 1001, dtype=torch.float64)
    for name in ("PosterizeIncreasing", "SolarizeAdd", "SolarizeIncreasing"):
        theirs = [LEVEL_TO_ARG[name](10 * value, {})[0] for value in level.tolist()]
        assert PHOTOMETRIC[name][0](10 * level / 10, torch.ones(1001)).tolist() == theirs


def test_interpolation_is_drawn_or_fixed() -> None:
    draws = Draws(0, 0, torch.arange(DRAWS))
    bicubic = {kind: draw_layers(RandAugment(), draws, kind)[0].bicubic for kind in ("random", "bilinear", "bicubic")}
    assert stats.binomtest(int(bicubic["random"].sum()), DRAWS).pvalue > 0.01
    assert bicubic["bicubic"].all() and not bicubic["bilinear"].any()


def test_layers_are_independent() -> None:
    first, second = draw_layers(RandAugment(), Draws(0, 0, torch.arange(DRAWS)), "random")
    table = np.zeros((len(NAMES), len(NAMES)))
    np.add.at(table, (first.operation.numpy(), second.operation.numpy()), 1)
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_only_applied_operations_change_an_image() -> None:
    images = pictures()
    count = len(images)
    for number in range(len(NAMES)):
        argument = torch.full((count,), 2.0 if NAMES[number] in PHOTOMETRIC else 0.3, dtype=torch.float64)
        chosen = torch.arange(count) == 3
        layer = Layer(torch.full((count,), number), chosen, argument, bicubic=~chosen)
        changed = images.clone()
        apply_layer(changed, layer, (128, 128, 128))
        assert torch.equal(changed[~chosen], images[~chosen])
        assert not torch.equal(changed[chosen], images[chosen]), NAMES[number]
