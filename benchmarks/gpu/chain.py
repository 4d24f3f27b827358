"""A chain of real jobs by one strategy, in bfloat16 and compiled: digits -> pretrain -> segment.

    python benchmarks/gpu/chain.py ddp|fsdp|deepspeed [--rehearse]

Each job is a process `python -m locat`, as the launcher would start it, but not tracked: MLflow need not be there.
What is known is written after each job. Exits with 1 where a job fails.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from attention_measuring import write

MODEL = {"img_size": 64, "patch_size": 8, "embed_dim": 192, "depth": 4, "num_heads": 3, "num_classes": 10}
TOLD = 1500
"""Characters of a failed job's log that are kept."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("strategy", choices=["ddp", "fsdp", "deepspeed"])
    parser.add_argument("--rehearse", action="store_true", help="few steps, not compiled")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, config in jobs(Path(folder), options.strategy, options.rehearse).items():
            found[name] = run(Path(folder) / name, config)
            device = "cpu" if options.rehearse else "cuda"
            write(f"chain-{options.strategy}", device, {"what": "chain", "strategy": options.strategy, "jobs": found})
            print(name, found[name])
            if found[name]["exit_code"]:
                return 1
    return 0


def jobs(folder: Path, strategy: str, rehearse: bool) -> dict[str, dict[str, Any]]:
    """The configs, by the jobs' names, in their order."""
    scenes, batch = (64, 16) if rehearse else (4096, 256)
    dataset = {"name": "digits", "train_scenes": scenes, "val_scenes": scenes // 4, "image_size": 64}
    files = {split: str(folder / "convert" / "outputs" / f"{split}.beton") for split in ("train", "val")}
    shared = {
        "data": files,
        "batch_size": batch,
        "strategy": strategy,
        "precision": "bf16",
        "compile": not rehearse,
        "loader_threads": 4,
        "log_every": 2 if rehearse else 16,
    }
    pretrain = {
        "task": "supervised",
        "model": {"name": "locatvit_tiny", "args": MODEL},
        "epochs": 1 if rehearse else 4,
        "schedule": {"warmup_epochs": 0.5},
        "augment": {"name": "shift", "pixels": 4},
        "image_size": 64,
        "crop_pct": 1.0,
    }
    segment = {"task": "segment", "backbone": str(folder / "pretrain" / "outputs"), "iterations": 4 if rehearse else 64}
    return {
        "convert": {"task": "convert", "dataset": dataset},
        "pretrain": {**shared, **pretrain},
        "segment": {**shared, **segment},
    }


def run(folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Exit code, seconds, what the job found; and the end of its log where it failed."""
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    start = time.perf_counter()
    command = [sys.executable, "-m", "locat", str(folder / "config.yaml")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found: dict[str, Any] = {"exit_code": done.returncode, "seconds": round(time.perf_counter() - start, 1)}
    if done.returncode:
        return {**found, "log": done.stdout[-TOLD:]}
    results = folder / "outputs" / "metrics.json"
    if results.exists():
        found["metrics"] = json.loads(results.read_text())["metrics"]
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        found["records"] = [record for record in records if "train/loss" in str(record)][-2:]
    return found


if __name__ == "__main__":
    sys.exit(main())
