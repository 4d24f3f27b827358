"""What pipelines may say of the dataset. Imports neither torch nor NumPy."""

from pathlib import Path
from typing import ClassVar, Literal

from locat.config.base import PositiveInt
from locat.config.datasets import Source


class ContactSheets(Source):
    """A folder with train.png and val.png, each a grid of square images, row by row, and their classes in *.txt."""

    reader: ClassVar[str] = "contact_sheets.reader:read"

    name: Literal["contact_sheets"]
    folder: Path
    """Holds train.png, train.txt, val.png and val.txt; a text file has one class per line, in the images' order."""
    size: PositiveInt = 32
    """Height and width of one image in pixels."""
    label: str = "contact sheets"
    """What tables and reports call the dataset."""
