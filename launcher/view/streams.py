"""Standard streams that a shell has closed, or that lead to a full disk."""

import io
import os
import sys
from typing import Any, TextIO


class Output(io.FileIO):
    """Standard output, which knows that something could not be written."""

    trouble = ""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise  # whoever read has read enough
        except OSError as error:
            self.trouble = error.strerror or str(error)
            raise


def prepare() -> Output:
    """Open closed streams to nowhere; standard output as it is from now on.

    A closed one would else be the next file that is opened, and be written to.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    output = Output(1, "w", closefd=False)
    sys.stdout = _text(io.BufferedWriter(output), sys.stdout)
    sys.stderr = _text(io.BufferedWriter(io.FileIO(2, "w", closefd=False)), sys.stderr, line_buffering=True)
    return output


def flush() -> None:
    """Write what was printed; where that fails, never try again."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def _text(stream: io.BufferedWriter, was: TextIO | None, line_buffering: bool = False) -> TextIO:
    encoding = was.encoding if was else None
    is_line_buffered = line_buffering or stream.isatty()
    return io.TextIOWrapper(stream, encoding, line_buffering=is_line_buffered)
