import torch
from PIL import Image
from scipy import stats
from torchvision.transforms import ColorJitter
from torchvision.transforms import functional as torchvision_pil

from locat.data.augment.colour_jitter import ColourJitter, apply_jitter, draw_jitter
from locat.data.augment.draws import Draws
from support.pil_reference import by_pil, pictures

STRENGTH = ColourJitter(0.4, 0.4, 0.2, 0.1)
DRAWS = 10_000


def test_factors_and_orders_are_distributed_as_torchvisions() -> None:
    ours = draw_jitter(STRENGTH, Draws(0, 0, torch.arange(DRAWS)))
    theirs = ColorJitter(*STRENGTH)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [
            ColorJitter.get_params(theirs.brightness, theirs.contrast, theirs.saturation, theirs.hue)
            for _ in range(DRAWS)
        ]
    for number in range(4):
        argument = ours.argument[:, number].numpy()
        assert stats.ks_2samp(argument, [row[number + 1] for row in drawn]).pvalue > 0.01
        wider = argument.mean() + 1.1 * (argument - argument.mean())
        assert stats.ks_2samp(wider, [row[number + 1] for row in drawn]).pvalue < 1e-3
    orders = torch.stack([row[0] for row in drawn])
    place_value = torch.tensor([64, 16, 4, 1])
    tables = [(order @ place_value).bincount(minlength=256) for order in (ours.order, orders)]
    present = tables[0] > 0
    assert present.sum() == 24 and torch.equal(present, tables[1] > 0)
    assert stats.chi2_contingency(torch.stack(tables)[:, present].numpy()).pvalue > 0.01


def test_each_image_is_changed_in_its_own_order_as_pil_does() -> None:
    images = pictures().repeat(4, 1, 1, 1)
    jitter = draw_jitter(ColourJitter(0.4, 0.4, 0.4), Draws(0, 0, torch.arange(len(images))))
    chosen = torch.arange(len(images)) % 5 != 2
    changed = images.clone()
    apply_jitter(changed, jitter, chosen)
    steps = [torchvision_pil.adjust_brightness, torchvision_pil.adjust_contrast, torchvision_pil.adjust_saturation]
    for number, image in enumerate(images):

        def in_order(picture: Image.Image, number: int = number) -> Image.Image:
            for step in jitter.order[number].tolist():
                if step < 3:
                    picture = steps[step](picture, float(jitter.argument[number, step]))
            return picture

        expected = by_pil(image[None], in_order)[0] if chosen[number] else image
        assert torch.equal(changed[number], expected)


def test_no_strength_changes_nothing() -> None:
    images = pictures()
    changed = images.clone()
    everyone = torch.ones(len(images), dtype=torch.bool)
    apply_jitter(changed, draw_jitter(ColourJitter(0, 0, 0), Draws(0, 0, torch.arange(len(images)))), everyone)
    assert torch.equal(changed, images)
