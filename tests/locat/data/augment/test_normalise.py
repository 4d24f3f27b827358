import torch

from locat.data.augment import denormalize, normalize


def test_normalize() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 2, 1, 1)
    assert torch.allclose(normalize(images, (0.5, 0.5), (0.5, 0.25)).flatten(), torch.tensor([-1.0, 2.0]))


def test_denormalize_gives_the_images_back() -> None:
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert torch.equal(denormalize(normalize(images, mean, std), mean, std), images)
