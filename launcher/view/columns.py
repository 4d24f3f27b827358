"""Wide tables as text: one line a row, and on a terminal that is too narrow one block of columns below the other.

Not by rich, which takes seconds for a thousand rows and squeezes columns until nobody can read them.
"""

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from rich.cells import cell_len

from launcher.comparing.query import as_text
from locat.contract.names import one_line

LONGEST = 60
"""Characters of a cell; of a longer one the middle is left out."""
GAP = "  "


def terminal_width() -> int | None:
    """Columns of the terminal that is written to; None where no terminal limits them."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def text(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], rounded: Set[str], first: int, width: int | None
) -> str:
    """A table without colours; each block begins with the `first` columns, and some are rounded to six digits."""
    longest = LONGEST if width is None else max(8, min(LONGEST, width // (first + 1) - len(GAP)))
    cells = {
        name: [one_line(name, longest), *(_cell(row, name, name in rounded, longest) for row in rows)]
        for name in columns
    }
    widths = {name: max(map(cell_len, lines)) for name, lines in cells.items()}
    numeric = {name for name in columns if all(isinstance(row.get(name, 0), int | float) for row in rows)}
    blocks = [
        "\n".join(_line(block, cells, widths, numeric, number) for number in _with_rule(len(rows)))
        for block in _blocks(columns, widths, first, width)
    ]
    return "\n\n".join(blocks) + "\n"


def fits(table: str, width: int | None) -> bool:
    """Whether all lines of a text are as wide at most."""
    return width is None or max(map(cell_len, table.splitlines())) <= width


def wrapped(name: str, parts: Iterable[str], width: int | None) -> str:
    """What a row says where its columns do not fit: its name and its parts, none broken unless alone it is too wide."""
    lines = [name if width is None else one_line(name, max(8, width))]
    for part in parts:
        longer = f"{lines[-1]}{GAP}{part}"
        if fits(longer, width):
            lines[-1] = longer
        else:
            lines.append(GAP + part)
    return "".join(f"{line}\n" for line in lines)


def _cell(row: Mapping[str, Any], name: str, is_rounded: bool, longest: int) -> str:
    if name not in row:
        return ""
    value = row[name]
    return f"{value:.6g}" if is_rounded else one_line(as_text(value), longest)


def _blocks(columns: Sequence[str], widths: Mapping[str, int], first: int, width: int | None) -> Iterable[list[str]]:
    """The columns in as many blocks as it takes."""
    keys, others = list(columns[:first]), columns[first:]
    block = keys
    for name in others:
        total = sum(widths[each] + len(GAP) for each in [*block, name]) - len(GAP)
        if width is not None and total > width and len(block) > len(keys):
            yield block
            block = keys
        block = [*block, name]
    yield block


def _with_rule(rows: int) -> Iterable[int]:
    """Numbers of a block's lines: the header, the rule below it (-1), the rows."""
    return (0, -1, *range(1, rows + 1))


def _line(
    block: Sequence[str], cells: Mapping[str, list[str]], widths: Mapping[str, int], numeric: set[str], number: int
) -> str:
    parts = []
    for name in block:
        room = widths[name]
        words = "-" * room if number < 0 else cells[name][number]
        spaces = " " * (room - cell_len(words))
        parts.append(spaces + words if name in numeric else words + spaces)
    return GAP.join(parts).rstrip()
