"""The C library that FFCV is built as, and in it libturbojpeg, without importing FFCV (see `ffcv_format`)."""

import ctypes
from importlib.machinery import PathFinder
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from locat.contract.errors import JobError


def _open() -> ctypes.CDLL:
    package = find_spec("ffcv")
    module = PathFinder.find_spec("_libffcv", package.submodule_search_locations) if package else None
    if module is None or module.origin is None:
        raise JobError("FFCV is not installed; install the project's requirements again")
    return ctypes.CDLL(module.origin)


library = _open()
"""Of libturbojpeg, whose functions it knows as well, it has the version that FFCV was built with."""

_imdecode = library.imdecode
_imdecode.argtypes = [
    *(ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p),
    *(ctypes.c_uint32,) * 6,
    *(ctypes.c_bool, ctypes.c_bool),
]


def decodes(jpeg: bytes, height: int, width: int) -> bool:
    """Whether FFCV's decoder reads a JPEG of this size to its end with neither error nor warning."""
    content = np.frombuffer(jpeg, np.uint8)
    pixels: NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
    whole = (height, width, 0, 0, 1, 1)  # of the picture, not scaled
    code = _imdecode(content.ctypes.data, content.size, height, width, pixels.ctypes.data, *whole, False, False)
    return bool(code == 0)
