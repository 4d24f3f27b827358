"""Which settings are columns: those in which jobs differ."""

from collections.abc import Hashable, Sequence

from launcher.comparing.rows import Row
from launcher.comparing.settings import AXES, plain


def differing(rows: Sequence[Row]) -> list[str]:
    """Keys of the settings in which rows differ, in the order in which rows have them.

    Two rows of a task that agree in all of these agree in all their settings. A key that only other tasks have is no
    difference. An axis of a matrix is left out where a key of the config says the same.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row.settings))
    of_task: dict[Hashable, list[Row]] = {}
    for row in rows:
        of_task.setdefault(row.task, []).append(row)
    shown: dict[tuple[Hashable, ...], str] = {}
    kept = []
    for key in sorted(keys, key=lambda key: key.startswith(AXES)):
        values = {plain(row.settings[key]) for row in rows if key in row.settings}
        having = [sum(key in row.settings for row in group) for group in of_task.values()]
        is_partial = any(0 < count < len(group) for count, group in zip(having, of_task.values(), strict=True))
        if len(values) > 1 or is_partial:
            column = tuple(plain(row.settings[key]) if key in row.settings else None for row in rows)
            if not (key.startswith(AXES) and column in shown):
                kept.append(key)
            shown[column] = key
    return kept
