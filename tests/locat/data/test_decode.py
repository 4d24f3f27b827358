import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locat.data.decode import IMAGE, PROBLEMS, UNREADABLE, Workspace, cut_images
from locat.data.resample import BILINEAR
from locat.data.views import CUT


def picture(height: int, width: int) -> Image.Image:
    coarse = np.random.default_rng(height).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def first_rows(
    path: Path, content: bytes, height: int, width: int, rows: int, halvings: int = 0
) -> np.ndarray | tuple[int, str]:
    path.write_bytes(content)
    images, cut = np.zeros(1, IMAGE), np.zeros((1, 1), CUT)
    images[0] = (0, len(content), height, width, 1)
    out_rows, out_width = (-(-side // 2**halvings) for side in (rows, width))
    part = (0, 0, out_rows * 2**halvings, out_width * 2**halvings)
    cut[0, 0] = (*part, out_rows, out_width, BILINEAR, 0, 0, out_rows, out_width, 0, halvings, 0)
    out = np.empty((out_rows, out_width, 3), np.uint8)
    with path.open("rb") as file:
        problem = cut_images(file.fileno(), images, cut, out.reshape(-1), Workspace(images))
    return problem or out


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}, {"restart_marker_rows": 1}]
)
@pytest.mark.parametrize("grey", [False, True])
def test_the_first_rows_are_those_of_pillow(tmp_path: Path, options: dict[str, int], grey: bool) -> None:
    file = io.BytesIO()
    image = picture(203, 157)
    (image.convert("L") if grey else image).save(file, "JPEG", quality=90, **options)
    expected = np.asarray(Image.open(file).convert("RGB"))
    for rows in (1, 8, 15, 16, 17, 100, 180, 190, 203):
        found = first_rows(tmp_path / "image", file.getvalue(), 203, 157, rows)
        assert np.array_equal(found, expected[:rows]), rows


@pytest.mark.parametrize("halvings", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_halved_image_is_pillows_draft(tmp_path: Path, halvings: int, options: dict[str, int]) -> None:
    """At the scale of one pixel a pixel, so that nothing is resampled."""
    file = io.BytesIO()
    picture(203, 157).save(file, "JPEG", quality=90, **options)
    draft = Image.open(file)
    draft.draft("RGB", (157 >> halvings, 203 >> halvings))
    expected = np.asarray(draft.convert("RGB"))
    for rows in (1, 17, 100, 180, 203):
        found = first_rows(tmp_path / "image", file.getvalue(), 203, 157, rows, halvings)
        assert np.array_equal(found, expected[: len(found)]), rows
    assert expected.shape == (-(-203 // 2**halvings), -(-157 // 2**halvings), 3)


def test_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    file = io.BytesIO()
    picture(96, 80).save(file, "JPEG")
    content = file.getvalue()
    corrupt = (0, "its JPEG is corrupt")
    assert first_rows(tmp_path / "image", content[:-400], 96, 80, 96) == corrupt
    assert first_rows(tmp_path / "image", content, 95, 80, 95) == corrupt  # of another size than promised
    for odd in (
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xd8\xff\xe0\x00\x00",
        content[:30],
        bytes(500),
        content[:2] + bytes(90),
    ):
        assert first_rows(tmp_path / "image", odd, 96, 80, 20) == corrupt
    images, cut = np.zeros(1, IMAGE), np.zeros((1, 1), CUT)
    images[0] = (len(content) - 10, 50, 96, 80, 1)
    with (tmp_path / "image").open("rb") as short:
        assert cut_images(short.fileno(), images, cut, np.empty(9, np.uint8), Workspace(images)) == (
            0,
            PROBLEMS[UNREADABLE],
        )
