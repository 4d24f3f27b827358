"""How the attention benchmarks take time and write down what they found; run nothing itself."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", Path(__file__).parent / "results"))

Step = Callable[[], object]


def compare(steps: dict[str, Step], rounds: int, base: str) -> dict[str, dict[str, float]]:
    """Milliseconds of each step: median and quartiles of the rounds, in which all take turns, after one to warm up.

    `ratio` is the median over rounds of a step's time by that of `base` in the same round.
    """
    seen: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            seen[name].append(1000 * seconds(step))
    measured = {}
    for name, times in seen.items():
        low, median, high = statistics.quantiles(times[1:], n=4) if rounds > 1 else times[1:] * 3
        ratio = statistics.median(own / plain for own, plain in zip(times[1:], seen[base][1:], strict=True))
        measured[name] = {"median_ms": median, "low_ms": low, "high_ms": high, "fastest_ms": min(times), "ratio": ratio}
    return measured


def seconds(step: Step) -> float:
    """Wall time of one step, the device's work included."""
    synchronize()
    start = time.perf_counter()
    step()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def kept_bytes(forward: Step) -> int:
    """What a forward pass keeps for its backward pass, parameters not counted."""
    storages: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()
        total = sum(tensor.untyped_storage().nbytes() for tensor in storages.values())
    del result
    return total


def peak_bytes(step: Step) -> int:
    """The most memory that a step has allocated at once on the GPU, its inputs and parameters included."""
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated()


def peaks(device: str, dtype: torch.dtype) -> dict[str, float]:
    """FLOP/s of a large matrix product and bytes/s of a large copy, as reached on this machine now."""
    size = 1024 if device == "cpu" else 8192
    a = torch.randn(size, size, device=device).to(dtype)
    source = torch.empty(2**26 if device == "cpu" else 2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = min(seconds(lambda: a @ a) for _ in range(5))
    copy = min(seconds(lambda: target.copy_(source)) for _ in range(5))
    return {"flops_per_s": 2 * size**3 / product, "bytes_per_s": 2 * source.numel() / copy}


def machine(device: str) -> dict[str, Any]:
    with open("/proc/cpuinfo") as file:
        models = {line.split(":")[1].strip() for line in file if line.startswith("model name")}
    return {
        "processor": ", ".join(sorted(models)) or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "load": os.getloadavg()[0],
    }


def versions() -> dict[str, str | None]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
    }


def place(device: str) -> str:
    """Where steps run, for the name of a result: "cuda", or a CPU and its threads, whose ratios differ."""
    return device if device == "cuda" else f"{device}-{torch.get_num_threads()}"


def write(name: str, device: str, found: dict[str, Any]) -> None:
    """Keep a result as benchmarks/results/NAME.json, at once or not at all, and say where."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    whole = {"date": date, "machine": machine(device), "versions": versions(), **found}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(whole, indent=1) + "\n")
    part.replace(path)
    print(f"written to {path}")
