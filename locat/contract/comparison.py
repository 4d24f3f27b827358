"""outputs/comparison.json of a compare job: numbers of models side by side, which the launcher shows."""

from dataclasses import asdict, dataclass
from pathlib import Path

from locat.contract import durable, records

FORMAT = 1
FILE = "comparison.json"
"""Its name among the job's outputs."""


@dataclass(frozen=True)
class Comparison:
    """A table, a row per model."""

    columns: list[str]
    """In the order to be shown; the first is `model`."""
    rows: list[dict[str, str | float]]
    """Column -> what stands there, `model` a name and the others numbers; one without a number is left out."""

    @classmethod
    def read(cls, outputs: Path) -> "Comparison | None":
        """The table among a job's outputs, of a newer format too; None if there is none."""
        try:
            return records.built(cls, records.read_object(outputs / FILE))
        except FileNotFoundError:
            return None

    def write(self, outputs: Path) -> None:
        durable.make_folder(outputs, within=outputs.parent)
        durable.write_json(outputs / FILE, records.numbered(asdict(self), FORMAT))
