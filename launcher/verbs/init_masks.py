"""What `launcher init` writes for images with masks."""

import json
import subprocess
from pathlib import Path
from typing import Any

from launcher import interpreter
from locat.contract.errors import UserError
from locat.contract.job_folder import ExitCode

MOST_IMAGES = 64
"""In a batch of the pipeline that is written."""


def words(images: Path, masks: Path) -> dict[str, object]:
    """What the template's words stand for.

    Raises:
        UserError: the images and masks do not pair, or the masks hold no classes.
    """
    found = look(images, masks)
    batch = 1 << (min(MOST_IMAGES, found["train"]).bit_length() - 1)
    return {
        "splits": "\n".join(splits(images.resolve(), masks.resolve(), found["splits"])),
        "labels": "\n".join(
            f"          {label if label.isdecimal() else quoted(label)}: {quoted(name)}"
            for label, name in found["classes"].items()
        ),
        "batch": batch,
        "rate": f"{5e-4 * batch / 256:.3g}",
    }


def look(images: Path, masks: Path) -> dict[str, Any]:
    """The survey of the two folders, by a process of its own: the launcher reads no pictures."""
    command = interpreter.module("locat.data.survey", str(images), str(masks))
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode == ExitCode.INVALID:
        raise UserError(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise RuntimeError(f"the survey of {images} and {masks} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def splits(images: Path, masks: Path, both: bool) -> list[str]:
    """The dataset's lines that say where images and masks lie."""
    if not both:
        return [
            f"        train: {{images: {quoted(images)}, masks: {quoted(masks)}}}     # paired by name",
            "        split: {val: 0.1, seed: 0}     # this share of the pairs is never trained on",
        ]
    return [
        f"        {split}: {{images: {quoted(images / split)}, masks: {quoted(masks / split)}}}     # {meaning}"
        for split, meaning in (("train", "paired by name"), ("val", "images never trained on"))
    ]


def quoted(value: object) -> str:
    """A value as YAML text, of which nothing is taken for a reference."""
    return json.dumps(str(value).replace("${", "$${"), ensure_ascii=False)
