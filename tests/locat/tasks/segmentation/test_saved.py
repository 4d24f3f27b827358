"""The folder of a segmentation model: what is refused, each by one sentence."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import locat
import locat.models
from locat.config import Model
from locat.config.segmentation import SegmentHead
from locat.config.weights import Init
from locat.contract.errors import WeightsError
from locat.models.create import create_model
from locat.models.segmentation_head import SegmentationHead
from locat.tasks.segmentation.saved import DESCRIPTION, HEAD, Described, save_segmenter, take_head
from support import training

CLASSES = ("sky", "road")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    described = Described(
        head=SegmentHead(), hidden_dim=16, classes=CLASSES, mean=(0.5,) * 3, std=(0.5,) * 3, protocol="exact"
    )
    backbone = create_model(Model(name="locatvit_tiny", args=training.TINY_VIT))
    save_segmenter(tmp_path, backbone, SegmentationHead(24, 16, 2).state_dict(), described, **training.TINY_VIT)
    return tmp_path


def describe(folder: Path, **changes: object) -> None:
    values = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**values, **changes}))


def test_what_was_saved_is_loaded(folder: Path) -> None:
    model = locat.load_segmenter(folder)
    assert model.classes == CLASSES
    images = torch.randint(256, (2, 3, 20, 27), generator=torch.Generator().manual_seed(0)).byte()
    normalised = (images / 255 - 0.5) / 0.5
    padded = torch.nn.functional.pad(normalised, (0, 5, 0, 4))
    logits = torch.nn.functional.interpolate(model.segmenter(padded), (24, 32), mode="bilinear")[..., :20, :27]
    assert torch.equal(model.predict(images).long(), logits.argmax(1))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["a", "b", "c"]}, f"{HEAD} is of another head than {DESCRIPTION} says"),
        ({"hidden_dim": 8}, "size mismatch for 0.weight"),
        ({"hidden_dim": "x"}, "hidden_dim: Input should be a valid integer"),
        ({"hidden_dim": -3}, "hidden_dim: Input should be greater than 0"),
        ({"mean": [0.5]}, "mean: Tuple should have at least 3 items"),
        ({"std": [0.5, 0.5, 0.0]}, "std.2: Input should be greater than 0"),
        ({"classes": "ab"}, "classes: Input should be a valid tuple"),
        ({"protocol": "own"}, "protocol: Input should be 'release' or 'exact'"),
        ({"head": {"name": "unet"}}, "describe a segmentation model: head.name: Value error, expected one of mlp"),
        ({"head": {"name": "mlp", "blocks": [7]}}, "name each once, of 0 to 1"),
        ({"format": 2, "colour": "blue"}, "has format 2, this version reads 1"),
        ({"colour": "blue"}, "colour: Extra inputs are not permitted"),
        ({"resize": [512]}, "resize.1: Field required"),
        ({"resize": [512, "x"]}, "resize.1: Input should be a valid integer"),
        ({"brightness": {"range": [0]}}, "brightness: Value error"),
        ({"brightness": {"range": 0}}, "brightness: Value error"),
        ({"evaluation": {"stride": 8}}, "stride is of a sliding window; set window"),
    ],
)
def test_a_description_of_another_model(changes: dict[str, object], words: str, folder: Path) -> None:
    describe(folder, **changes)
    with pytest.raises(WeightsError) as refusal:
        locat.load_segmenter(folder)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", [DESCRIPTION, HEAD, "model.safetensors"])
def test_a_part_that_is_missing_or_damaged(name: str, folder: Path) -> None:
    (folder / name).write_bytes(b"{")
    with pytest.raises(WeightsError):
        locat.load_segmenter(folder)
    (folder / name).unlink()
    with pytest.raises(WeightsError):
        locat.load_segmenter(folder)


def test_a_head_is_taken_up_where_form_and_classes_are_the_same(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    init, head = Init(source=str(folder)), SegmentationHead(24, 16, 2)
    assert take_head(head, init, CLASSES)
    assert all(torch.equal(value, load_file(folder / HEAD)[name]) for name, value in head.state_dict().items())
    before = {name: value.clone() for name, value in head.state_dict().items()}
    save_file({name: value + 1 for name, value in before.items()}, folder / HEAD)
    assert not take_head(head, init, ("sky", "sea"))
    assert not take_head(SegmentationHead(24, 8, 2), init, CLASSES)
    assert [word for word in ("other classes", "another form") if word in caplog.text] == [
        "other classes",
        "another form",
    ]
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())
    assert not take_head(head, Init(source="timm"), CLASSES)
    assert not take_head(head, Init(source=str(folder.parent)), CLASSES)
