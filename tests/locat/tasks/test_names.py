"""No name that a file may have ends a job: through convert, and into every figure."""

import io
import logging
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from locat.commands.attention_figure import Look, looks_figure
from locat.config import ConvertConfig
from locat.contract.job_folder import JobFolder
from locat.contract.names import drawable, one_line
from locat.data import beton
from locat.tasks import figures
from locat.tasks.convert import convert
from locat.tasks.segmentation.figures import Picture, confusion_figure, iou_figure, overlay_figure
from locat.tasks.segmentation.report import as_csv
from support.pictures import jpeg

HOSTILE = [
    b"usd_$5_$10",
    b"caf\xe9",
    b"$\\frac{",
    b"a\nb",
    b"\x1b[2J\x1b]0;x\x07",
    b"_class",
    b"\\$x$",
    b"%s{}",
    b"\xff",
]


def is_a_name(name: bytes) -> bool:
    """Whether a folder may be called so, that is not hidden."""
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name and not name.startswith(b".")


NAMES = st.one_of(
    st.sampled_from(HOSTILE),
    st.binary(min_size=1, max_size=200).filter(is_a_name),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60)
    .map(str.encode)
    .filter(is_a_name),
)


def draw(figure: Figure) -> None:
    """As `save` does, at a size that is drawn fast."""
    figure.savefig(io.BytesIO(), dpi=20, bbox_inches="tight")
    figures.pyplot().close(figure)


@given(NAMES)
def test_a_printable_name_is_one_line_of_text(name: bytes) -> None:
    text = one_line(os.fsdecode(name))
    assert text.isprintable() and len(text) <= 80
    text.encode()
    plain = os.fsdecode(name)
    assert text == plain or not plain.isprintable() or len(plain) > 80


def test_bytes_that_are_no_utf8_are_shown_as_such() -> None:
    assert one_line(os.fsdecode(b"caf\xe9\n\x1b[1m")) == r"caf\xe9\n\x1b[1m"
    assert one_line("x" * 100, 9) == "xxxx…xxxx"


def draw_all(names: list[str]) -> None:
    """Every figure that has names, with these."""
    image = np.zeros((8, 8, 3), np.uint8)
    truth = np.indices((8, 8)).sum(0).astype(np.uint8) % len(names)
    title = " ".join(names)
    draw(figures.batch_grid_figure([image] * len(names), title, names, columns=2))
    draw(figures.attention_figure([image], [np.zeros((2, 4, 4), np.float32)], title))
    draw(figures.comparison_figure([{"model": name, names[0]: 1.0} for name in names], names))
    draw(overlay_figure([Picture(image, truth, truth)], names * 10, title))
    draw(iou_figure(np.linspace(0, 1, len(names)), names, title))
    draw(confusion_figure(np.ones((len(names), len(names)), np.int64), names, title))
    draw(looks_figure([Look(title, image / np.float32(255), [None], [np.zeros((4, 4), np.float32)], None)]))
    as_csv([{"class": name, "iou": 1.0} for name in names]).encode(errors="backslashreplace")


def test_hostile_names_end_no_figure() -> None:
    draw_all(list(map(os.fsdecode, HOSTILE)))


@pytest.mark.slow
@given(first=NAMES, second=NAMES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_figure_is_drawn_whatever_the_names(first: bytes, second: bytes) -> None:
    draw_all([os.fsdecode(first), os.fsdecode(second)])


@pytest.mark.parametrize("name", ["_class", "usd_$5_$10", r"\$x$", "a$b"])
def test_a_name_is_drawn_as_it_stands(name: str) -> None:
    figure = figures.comparison_figure([{"model": name, "top1": 1.0}], ["top1"])
    figure.canvas.draw()
    legend = figure.axes[0].get_legend()
    assert legend is not None
    [text] = legend.get_texts()
    shown, formula = text._preprocess_math(text.get_text())
    assert not formula and shown.strip("\u200a") == name
    figures.pyplot().close(figure)


@given(names=st.lists(NAMES, min_size=2, max_size=3, unique=True), file=NAMES)
@example(names=[b"usd_$5_$10", b"caf\xe9"], file=b"a\nb\x1b[2J")
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_images_of_any_name_are_converted_and_listed(names: list[bytes], file: bytes) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        for split in ("train", "val"):
            for number, name in enumerate(names):
                place = os.path.join(os.fsencode(folder), split.encode(), name)
                os.makedirs(place)
                Path(os.fsdecode(place), "good.jpg").write_bytes(jpeg(number + 5 * (split == "val")))
            Path(os.fsdecode(place), os.fsdecode(file[:200] + b".jpg")).write_bytes(b"no image")
        job = JobFolder(folder / "job")
        job.path.mkdir()
        dataset = {"name": "image_folder", "train": folder / "train", "val": folder / "val"}
        convert(ConvertConfig.model_validate({"task": "convert", "dataset": dataset, "most_bad": 0.5}), job)
        manifest = beton.open_manifest(job.outputs / "train.beton")
        assert manifest.contents.classes == tuple(sorted(map(os.fsdecode, names)))
        assert [os.fsencode(Path(entry.file).name) for entry in manifest.quarantined] == [file[:200] + b".jpg"]
    finally:
        shutil.rmtree(folder)


def test_a_log_line_stays_one_line(tmp_path: Path, caplog) -> None:
    for split in ("train", "val"):
        for seed, name in enumerate(("a", "b\n2026 INFO all is well")):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "x.jpg").write_bytes(jpeg(seed))
            (tmp_path / split / name / "\x1b[2J.jpg").write_bytes(b"")
    job = JobFolder(tmp_path / "job")
    job.path.mkdir()
    dataset = {"name": "image_folder", "train": tmp_path / "train", "val": tmp_path / "val"}
    with caplog.at_level(logging.INFO):
        convert(ConvertConfig.model_validate({"task": "convert", "dataset": dataset, "most_bad": 0.5}), job)
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_drawable_names_of_classes_stay() -> None:
    assert [drawable(name) for name in ("cat", "fire hydrant", "été", "猫")] == ["cat", "fire hydrant", "été", "猫"]
