"""The formats that a program is written in, and what the file says once it is read again."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from locat.contract.errors import ConfigError
from locat.contract.names import one_line_path
from locat.export.program import LEAST, Program

INPUT = "images"
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def refuse_without_packages(format: str) -> None:
    """Raise ConfigError where packages are missing that a format needs."""
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None] if format == "onnx" else []
    if missing:
        raise ConfigError(
            f"format onnx needs packages that are not installed; run: python -m pip install {' '.join(missing)}"
        )


def traced(program: Program) -> ExportedProgram:
    """The program as torch.export sees it, for any number of images, and for any size where it varies.

    Raises:
        ConfigError: torch cannot export it.
    """
    sizes: dict[int, Any] = {0: Dim("batch", min=1)}
    if program.step:
        sizes |= {2: program.step * Dim("rows", min=LEAST), 3: program.step * Dim("columns", min=LEAST)}
    dtype = torch.uint8 if program.takes_pixels else torch.float32
    with quiet(), torch.no_grad(), told("torch.export"):
        exported = torch.export.export(
            program.module, (torch.zeros(2, 3, *program.size, dtype=dtype),), dynamic_shapes=(sizes,)
        )
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files and lines of this machine
    return exported


def write(exported: ExportedProgram, program: Program, file: Path) -> None:
    """Write a program in the format that the file's name ends in.

    Raises:
        ConfigError: it cannot be said in that format.
    """
    if file.suffix == ".pt2":
        torch.export.save(exported, file)
        return
    with quiet(), told("ONNX"):
        written = torch.onnx.export(
            exported, dynamo=True, verbose=False, input_names=[INPUT], output_names=list(program.outputs)
        )
        assert written is not None, "dynamo=True returns the program"
    for value in (*written.model.graph.inputs, *written.model.graph.outputs):
        assert value.shape is not None, "torch.export knows it"
        for place, name in enumerate(("batch", None, "height", "width")[: len(value.shape)]):
            if name and not isinstance(value.shape[place], int):
                value.shape[place] = name
    written.save(file, external_data=False)


def answers(file: Path, images: Sequence[Tensor]) -> list[list[Tensor]]:
    """What a file's program says of each batch of images, on the CPU, once it is read from the disk."""
    if file.suffix == ".pt2":
        module = torch.export.load(file).module()
        with torch.no_grad():
            return [list(module(batch)) for batch in images]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings are of its optimiser
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return [[torch.from_numpy(each) for each in session.run(None, {INPUT: batch.numpy()})] for batch in images]


def versions(file: Path) -> dict[str, str | int]:
    """Of what wrote and ran the program in a file, and of the language that it is in."""
    found: dict[str, str | int] = {"torch": torch.__version__}
    if file.suffix == ".onnx":
        import onnx
        import onnxruntime

        (opset,) = (each.version for each in onnx.load(file).opset_import if not each.domain)
        found |= {"opset": opset, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    return found


@contextmanager
def told(what: str) -> Iterator[None]:
    """What an exporter raises, which may be anything, as a ConfigError in one sentence."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        raise ConfigError(f"{what} cannot express this model: {one_line_path(reason)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' notes on what they could not fold or decompose."""
    loggers = [logging.getLogger(name) for name in ("onnx_ir", "onnxscript", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
