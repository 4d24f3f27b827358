"""How running jobs do: small pictures of their metrics, and what they hold, as wide as there is room."""

import math
from collections.abc import Mapping

from rich.console import Console

from launcher.runs.signs import Curve, Signs
from launcher.view import columns
from launcher.view.sparkline import sparkline, takes_ascii_only
from locat.contract.names import one_line

WIDEST, NARROWEST = 24, 8
"""Characters of a metric's picture where there is room, and where there is none."""
LONGEST_NAME = 24
"""Characters of a metric's name."""
GIB = 1 << 30


def signs_text(signs: Mapping[str, Signs], out: Console) -> str:
    """A row per job that has something to tell, in columns if they fit on `out`, else one part after the other."""
    width, plain = out.width if out.is_terminal else None, takes_ascii_only(out.file)
    rows = {name: told for name, each in signs.items() if (told := _told(each, WIDEST, plain))}
    if not rows:
        return ""
    heads = dict.fromkeys(head for told in rows.values() for head in told)
    wide = columns.text(["job", *heads], [{"job": name, **told} for name, told in rows.items()], set(), 1, None)
    if columns.fits(wide, width):
        return wide
    return "".join(columns.wrapped(name, _words(_told(signs[name], NARROWEST, plain)), width) for name in rows)


def in_words(signs: Signs, out: Console) -> str:
    """The same of one job in a line of a log; empty if it has told nothing."""
    return ", ".join(_words(_told(signs, NARROWEST, takes_ascii_only(out.file))))


def _told(signs: Signs, width: int, plain: bool) -> dict[str, str]:
    """Column -> what stands in it."""
    told = {}
    if signs.loss:
        told["loss"] = _drawn(signs.loss, width, plain)
    if signs.evaluated:
        name = one_line(signs.evaluated.metric.partition("/")[2], LONGEST_NAME)
        told["evaluated"] = f"{name} {_drawn(signs.evaluated, width, plain)}"
    if signs.images_per_second is not None:
        told["images/s"] = _rounded(signs.images_per_second)
    if signs.data_wait is not None:
        told["data wait"] = f"{signs.data_wait:.0%}"
    if signs.gpu_memory and signs.progress:
        told["GPU memory"] = f"{signs.gpu_memory / GIB:.1f} of {signs.progress.gpu_memory_total / GIB:.1f} GiB"
    return told


def _words(told: Mapping[str, str]) -> list[str]:
    """The parts, each with what it is."""
    after = {"images/s": "{} images/s", "evaluated": "{}"}
    return [after.get(head, f"{head} {{}}").format(cell) for head, cell in told.items()]


def _drawn(curve: Curve, width: int, plain: bool) -> str:
    return f"{sparkline(curve.points, width, plain)} {_rounded(curve.last)}"


def _rounded(value: float) -> str:
    """With four digits, as far as they tell something: images are counted by the thousand as well."""
    return f"{value:.0f}" if math.isfinite(value) and 1000 <= abs(value) < 1e7 else f"{value:.4g}"
