"""Seconds to load, compile and render a pipeline of 1,002 jobs, for every backend.

    python benchmarks/pipeline.py [--seeds 250]

It is pipelines/digits.yaml with another axis, `seed`, in its matrices. Nothing is submitted.
"""

import argparse
import tempfile
import time
from pathlib import Path

import yaml

from launcher.backends import BACKENDS
from launcher.compile.compiler import compile_pipeline
from launcher.language.load import load

DIGITS = Path(__file__).parents[1] / "pipelines/digits.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=250, help="values of the axis `seed`; four jobs each")
    values = yaml.safe_load(DIGITS.read_text())
    matrix = {**values["jobs"]["pretrain"]["matrix"], "seed": list(range(parser.parse_args().seeds))}
    for name in ("pretrain", "segment"):
        values["jobs"][name]["matrix"] = matrix
        values["jobs"][name]["config"]["seed"] = "${matrix.seed}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        start = time.perf_counter()
        pipeline = load(path)
        loaded = time.perf_counter()
        plan = compile_pipeline(pipeline, "run-1", Path("/runs"))
        compiled = time.perf_counter()
    print(f"{len(plan.jobs)} jobs: loaded in {loaded - start:.2f} s, compiled in {compiled - loaded:.2f} s")
    total = compiled - start
    for name, backend in BACKENDS.items():
        start = time.perf_counter()
        text = backend.render(plan)
        took = time.perf_counter() - start
        total += took
        print(f"  rendered for {name} in {took:.2f} s, {len(text) / 1e6:.1f} MB")
    print(f"  together {total:.2f} s")


if __name__ == "__main__":
    main()
