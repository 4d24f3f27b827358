"""What a GPU does in ten steps of LocAtViT-Base: a trace, and a list of what takes longest.

    python benchmarks/gpu/profiled.py [--rehearse]

The step is that of benchmarks/attention_step.py: forward, backward and AdamW at batch 256, compiled, in bfloat16.
The trace is for a browser (chrome://tracing, ui.perfetto.dev); one that is too large to be kept is left out.
"""

import argparse
from typing import Any

import torch
from attention_measuring import RESULTS, seconds, write
from attention_step import Training
from torch.profiler import ProfilerActivity, profile

WARM_UP, STEPS = 3, 10
LONGEST = 25
"""Operations that are listed."""
LARGEST_TRACE = 8e6  # bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="one small block, on the CPU")
    rehearse = parser.parse_args().rehearse
    problem = {"device": "cuda", "batch": 256, "image": 224, "depth": 12, "compile": True}
    if rehearse:
        problem = {"device": "cpu", "batch": 2, "image": 32, "depth": 1, "compile": False}
    size = "tiny" if rehearse else "base"
    step = Training(size, "ours", argparse.Namespace(**problem))
    for _ in range(WARM_UP):
        step()
    activities = [ProfilerActivity.CPU] + ([] if rehearse else [ProfilerActivity.CUDA])
    with profile(activities=activities) as seen:
        elapsed = seconds(lambda: [step() for _ in range(STEPS)])
    RESULTS.mkdir(exist_ok=True)
    trace = RESULTS / f"profile-{problem['device']}-{size}-trace.json.gz"
    seen.export_chrome_trace(str(trace))
    bytes_ = trace.stat().st_size
    if bytes_ > LARGEST_TRACE:
        trace.unlink()
    found = summed(seen, rehearse, elapsed) | {"trace": trace.name if trace.exists() else None, "trace_bytes": bytes_}
    write(f"profile-{problem['device']}-{size}", problem["device"], {"what": "profile", "settings": problem, **found})


def summed(seen: profile, on_cpu: bool, elapsed: float) -> dict[str, Any]:
    """Milliseconds of a step, how much of them the device was busy, and the operations that took most of them.

    Names given to stretches of time, as that of the optimizer's step, would count what is inside of them twice.
    """
    time_of = "self_cpu_time_total" if on_cpu else "self_device_time_total"  # microseconds
    kinds = {torch.autograd.DeviceType.CPU if on_cpu else torch.autograd.DeviceType.CUDA}
    events = [event for event in seen.key_averages() if event.device_type in kinds and not event.is_user_annotation]
    events.sort(key=lambda event: getattr(event, time_of), reverse=True)
    total = sum(getattr(event, time_of) for event in events)
    return {
        "step_ms": 1000 * elapsed / STEPS,
        "busy": total / 1e6 / elapsed,
        "longest": [
            {
                "name": event.key[:120],
                "ms_a_step": getattr(event, time_of) / 1000 / STEPS,
                "calls_a_step": event.count / STEPS,
                "share": getattr(event, time_of) / max(total, 1e-9),
            }
            for event in events[:LONGEST]
        ],
    }


if __name__ == "__main__":
    main()
