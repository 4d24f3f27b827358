"""docs/extend/parts.md: an augmentation, an optimizer and a segmentation head of a plugin, as jobs make them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from launcher.cli import cli
from launcher.language import json_schema
from launcher.plugins import staged, use
from locat.config import Optimizer
from locat.config.augmentation import ImageNetAugmentation
from locat.config.segmentation import SegmentHead
from locat.contract.errors import ConfigError
from locat.data.augment import ImageNetTransform
from locat.data.augment.draws import Draws
from locat.data.augment.own import apply_own
from locat.engine.strategies.optimizers import make_optimizer, start_state
from locat.models.segmentation_head import new_head
from support.documents import ROOT
from support.extending import shown_code

PAGE = ROOT / "docs/extend/parts.md"
EXAMPLE = ROOT / "examples/own_parts"
IMAGES = torch.arange(4 * 3 * 8 * 8, dtype=torch.uint8).view(4, 3, 8, 8)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the example, of which this process knows as jobs do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = tmp_path / "parts.py"
    copy.write_bytes((EXAMPLE / "parts.py").read_bytes())
    (tmp_path / "parts.yaml").write_bytes((EXAMPLE / "parts.yaml").read_bytes())
    use.of_run("parts", [str(copy)])
    yield tmp_path
    staged.forget()


def validated(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["validate", str(folder / "parts.yaml"), *words])


def test_a_pipeline_may_name_them_and_nothing_else(example: Path) -> None:
    valid = validated(example)
    assert valid.stdout == f"{example}/parts.yaml: valid, 3 jobs\n", valid.output
    assert valid.stderr.endswith("it brings augmentation fog, segmentation head neighbours, optimizer sign_sgd\n")
    assert validated(example, "--no-plugins").exit_code == 0
    for key, name, said in (
        ("pretrain.config.augment.own", "[fogg]", "no plugin brings the augmentation 'fogg'; did you mean 'fog'?"),
        ("pretrain.config.optimizer.name", "sign_sg", "got 'sign_sg'; did you mean 'sign_sgd'?"),
        ("segment.config.head.name", "neighbour", "got 'neighbour'; did you mean 'neighbours'?"),
    ):
        wrong = validated(example, "--set", f"jobs.{key}={name}")
        assert wrong.exit_code == 2 and said in wrong.stderr
    staged.forget()
    (example / "parts.py").write_text("from locat.contract.plugins import optimizer\n\n@optimizer\ndef lion(): ...\n")
    assert "brings the optimizer 'lion', as LocAt itself does; take one of them out" in validated(example).stderr


def test_the_schema_lists_them(example: Path) -> None:
    parts = json_schema.schema(installed=True)["$defs"]
    assert "sign_sgd" in str(parts["Optimizer"]["properties"]["name"])
    assert "neighbours" in str(parts["SegmentHead"]["properties"]["name"])
    assert "fog" in str(parts["ImageNetAugmentation"]["properties"]["own"])


def test_an_augmentation_depends_on_the_sample_alone(example: Path) -> None:
    config = ImageNetAugmentation(own=["fog"], rand_augment=None, mixup=0, cutmix=0, erasing=0)
    transform = ImageNetTransform(config, 2, 0.0, (0.5,) * 3, (0.5,) * 3, seed=1)
    index = torch.arange(4)
    varied = transform.vary(IMAGES, index, epoch=1)
    assert torch.equal(varied[2:], transform.vary(IMAGES[2:], index[2:], epoch=1)), "whatever is in the batch"
    assert not torch.equal(varied, transform.vary(IMAGES, index, epoch=2))
    plain = ImageNetTransform(config.model_copy(update={"own": []}), 2, 0.0, (0.5,) * 3, (0.5,) * 3, seed=1)
    assert not torch.equal(varied, plain.vary(IMAGES, index, epoch=1))


def test_what_gives_back_something_else_is_refused(example: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locat.data.augment.own.OTHERS", {"half": lambda images, draw: images[:, :, ::2]})
    with pytest.raises(ConfigError, match=r"augment\.own: half of a plugin must give back a tensor of torch\.uint8"):
        apply_own("half", IMAGES, Draws(0, 0, torch.arange(4)))
    none = {"none": lambda *given, **named: None}
    monkeypatch.setattr("locat.engine.strategies.optimizers.OTHERS", none)
    with pytest.raises(ConfigError, match="none of a plugin made NoneType, which is no optimizer of torch"):
        make_optimizer(Optimizer.model_construct(**{**Optimizer().model_dump(), "name": "none"}), nn.Linear(2, 2))
    monkeypatch.setattr("locat.models.segmentation_head.OTHERS", none)
    with pytest.raises(ConfigError, match="none of a plugin made NoneType, which is no module of torch"):
        new_head(SegmentHead.model_construct(name="none"), SimpleNamespace(feature_info=[{"num_chs": 3}]), [0], 0, 2)


def test_an_optimizer_moves_weights_and_heeds_what_is_not_finite(example: Path) -> None:
    model = nn.Linear(3, 2, bias=False)
    optimizer = make_optimizer(Optimizer(name="sign_sgd", lr=0.5, weight_decay=0.0), model)
    start_state(optimizer)
    before = model.weight.detach().clone()
    model.weight.grad = torch.full_like(before, -7.0)
    optimizer.found_inf = torch.ones(())  # type: ignore[attr-defined]
    optimizer.step()
    assert torch.equal(model.weight, before)
    optimizer.step()
    assert torch.equal(model.weight, before + 0.5)


def test_a_head_makes_classes_of_patches(example: Path) -> None:
    backbone = SimpleNamespace(feature_info=[{"num_chs": 6}])
    head = new_head(SegmentHead(name="neighbours", channels=4), backbone, [0], 512, classes=5)
    assert head(torch.zeros(2, 6, 3, 4)).shape == (2, 5, 3, 4)


def test_what_the_page_shows_is_in_the_example() -> None:
    assert shown_code(PAGE, EXAMPLE) == []
