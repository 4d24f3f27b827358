"""What a user is told when the GPU's memory is too small: a job that is given little of it must name the remedy.

    python benchmarks/gpu/exhausted.py [--rehearse]

On the CPU, where memory does not end so politely, the rehearsal raises torch's error in its place.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from attention_measuring import write
from chain import jobs

SHARE = 0.004
"""Of the GPU's memory, half a gigabyte of an H200's; the job's first step needs more."""
ON_GPU = f"""
import torch
torch.cuda.set_per_process_memory_fraction({SHARE})
"""
ON_CPU = """
import torch
def cross_entropy(*inputs):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 1.00 GiB")
torch.nn.functional.cross_entropy = cross_entropy
"""
JOB = """
import sys
from locat.__main__ import leave, main
leave(main())
"""
REMEDY = "micro_batch_size"
FAILED = 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU")
    rehearse = parser.parse_args().rehearse
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configs = jobs(folder, "ddp", rehearse)
        configs["pretrain"] |= {"compile": False, "batch_size": 32 if rehearse else 4096}
        for job in ("convert", "pretrain"):
            (folder / job).mkdir()
            (folder / job / "config.yaml").write_text(yaml.safe_dump(configs[job]))
        run(folder / "convert", "", check=True)
        done = run(folder / "pretrain", ON_CPU if rehearse else ON_GPU)
    told = [line for line in done.stderr.splitlines() if REMEDY in line]
    right = done.returncode == FAILED and len(told) == 1 and "Traceback" not in done.stderr
    found = {"exit_code": done.returncode, "told": told, "right": right}
    write(f"memory-{'cpu' if rehearse else 'cuda'}", "cpu" if rehearse else "cuda", {"what": "memory", **found})
    print(found if right else done.stderr)
    return int(not right)


def run(folder: Path, before: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", before + JOB, str(folder / "config.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=check)


if __name__ == "__main__":
    sys.exit(main())
