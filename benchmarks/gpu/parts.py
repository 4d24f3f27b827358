"""What is measured on a GPU, in this order: a run that is cut keeps the first."""

import sys
from dataclasses import replace
from pathlib import Path

from carried import BENCHMARKS, ROOT
from running import Part

HERE = Path(__file__).parent
KERNELS = "tests/locat/models/kernels/test_triton.py"
IMAGES = ("numba", "sklearn")
"""What reads images, and what makes scenes of digits."""
CPU = ("--device", "cpu", "--rounds", "1")
PATIENCE = 600.0
"""Seconds for a part of a rehearsal: it is to come to its end, on however busy a machine."""


def parts(rehearse: bool) -> list[Part]:
    """The parts; for a rehearsal, with problems so small that a CPU does each in seconds."""
    found = [
        tests(rehearse),
        attention("attention-224", rehearse, batch=256, grid=14),
        attention("attention-512", rehearse, batch=32, grid=32),
        *(step(size, rehearse) for size in ("tiny", "small", "base")),
        chain("ddp", rehearse),
        chain("fsdp", rehearse),
        chain("deepspeed", rehearse, "deepspeed"),
        own("profile", 45, "profiled.py", rehearse),
        own("loader", 50, "feeding.py", rehearse, needs=IMAGES[:1]),
        own("memory", 30, "exhausted.py", rehearse, needs=IMAGES),
    ]
    return [replace(part, limit=PATIENCE) for part in found] if rehearse else found


def tests(rehearse: bool) -> Part:
    """All that are marked `gpu`; in a rehearsal a few of the kernels', in Triton's interpreter."""
    pytest = (sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir", str(ROOT))
    if rehearse:
        chosen = (str(ROOT / KERNELS), "-k", "extreme_values or same_bits")
        return Part("tests", 0, (*pytest, *chosen), environment={"TRITON_INTERPRET": "1"})
    marked = (path for path in sorted((ROOT / "tests" / "locat").rglob("test_*.py")) if "mark.gpu" in path.read_text())
    return Part("tests", 100, (*pytest, "-m", "gpu", *map(str, marked)))


def attention(name: str, rehearse: bool, batch: int, grid: int) -> Part:
    problem = ("--batch", "1", "--heads", "1", "--grid", str(grid // 7), *CPU)
    if not rehearse:
        problem = ("--device", "cuda", "--batch", str(batch), "--heads", "12", "--grid", str(grid), "--compile")
    return Part(name, 45, bench("attention.py", *problem))


def step(size: str, rehearse: bool) -> Part:
    problem = ("--batch", "2", "--image", "32", "--depth", "1", *CPU)
    if not rehearse:
        problem = ("--device", "cuda", "--batch", "256", "--compile")
    command = bench("attention_step.py", "--sizes", size, "--forms", "plain", "ours", *problem)
    return Part(f"step-{size}", 50, command)


def chain(strategy: str, rehearse: bool, *needs: str) -> Part:
    """From digits to a segmentation, by one strategy."""
    return own(f"chain-{strategy}", 65, "chain.py", rehearse, strategy, needs=(*IMAGES, *needs))


def own(name: str, limit: float, program: str, rehearse: bool, *words: str, needs: tuple[str, ...] = ()) -> Part:
    """A part whose program is in this folder."""
    command = (sys.executable, str(HERE / program), *words, *(["--rehearse"] if rehearse else []))
    return Part(name, limit, command, needs)


def bench(program: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, str(BENCHMARKS / program), *words)
