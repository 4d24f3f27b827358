"""Differences between moments. Within a process or a machine they are those of `time.monotonic`, which nobody sets.

Where a moment comes from a file or another machine only the clock on the wall is left, which may have been set back or
forward since: what hangs on such a difference must hold for any value that these give.
"""

import time


def since(moment: float) -> float:
    """Seconds since a Unix time; 0 if the clock has been set back to before it."""
    return between(moment, time.time())


def between(start: float, end: float) -> float:
    """Seconds between two Unix times; 0 if the clock was set back between them."""
    return max(0.0, end - start)
