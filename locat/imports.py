"""Imports that Python's garbage collector does not interrupt.

torch and timm, or MLflow, are hundreds of thousands of objects that stay as long as the process. While they are made,
the collector goes through all of them again and again and finds nothing to free: a fifth of the time of such an import.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Import in the body of this; threads may do so at the same time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:  # else somebody else turned it off, and turns it on again
            gc.enable()
