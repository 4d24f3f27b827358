"""What docs/scale.md says was measured by this: prints each number.

    PYTHONPATH=tests python benchmarks/scale_measured.py [--rounds 5]

Processor time, so that other work counts little; of MLflow the time that passes, which other work lengthens.
"""

import argparse
import hashlib
import statistics
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import perf_counter, process_time, time

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric

from locat.data.ffcv_format import ALLOCATION, HEADER, IMAGE, INTEGER, VERSION, Field, describe, sample_type
from locat.data.order import sorted_order
from locat.data.permutation import permuted
from locat.data.stored import Stored
from support.mlflow_server import mlflow_server

SAMPLES = 1_281_167
FIELDS = (Field("image", IMAGE), Field("label", INTEGER))
CLIENTS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept, most = opened(folder / "images.beton")
        print(f"open .beton file: {kept / SAMPLES:.0f} bytes a sample, {most / SAMPLES:.0f} at most")
        print(f"sorting: {processor(lambda: sorted_order(SAMPLES, 0, 0), rounds):.3f} s")
        print(f"places: {1000 * processor(lambda: permuted(np.arange(256), 10**9, 0, 0), 100 * rounds):.2f} ms")
        block = bytes(10**8)
        print(f"SHA-256: {len(block) / processor(lambda: hashlib.sha256(block).digest(), rounds) / 1e9:.2f} GB/s")
        with mlflow_server(folder) as server:
            print(
                f"MLflow: {1000 * requests_a_second(server.uri, 1000, 1):.0f} points/s by {CLIENTS} requests of 1,000"
            )
            print(f"MLflow: {requests_a_second(server.uri, 14, 10):.1f} requests/s of 14 points")


def opened(path: Path) -> tuple[int, int]:
    """Bytes that an open file of SAMPLES images of a byte each keeps, and takes at most."""
    samples, allocations = np.zeros(SAMPLES, sample_type(FIELDS)), np.zeros(SAMPLES, ALLOCATION)
    header, descriptors = np.zeros(1, HEADER), describe(FIELDS)
    first = HEADER.itemsize + descriptors.nbytes + samples.nbytes
    places = first + np.arange(SAMPLES)
    samples["f0"]["width"] = samples["f0"]["height"] = 1
    samples["f0"]["data_ptr"] = allocations["ptr"] = places
    allocations["size"] = 1
    header[0] = (VERSION, len(FIELDS), 1 << 21, SAMPLES, first + SAMPLES)
    path.write_bytes(b"".join(each.tobytes() for each in (header, descriptors, samples)) + bytes(SAMPLES))
    with path.open("ab") as file:
        allocations.tofile(file)
    del samples, allocations, places
    tracemalloc.start()
    stored = Stored(path)
    found = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del stored
    return found


def processor(work: Callable[[], object], rounds: int) -> float:
    """Median of the processor seconds that it takes."""

    def once() -> float:
        began = process_time()
        work()
        return process_time() - began

    return statistics.median(once() for _ in range(rounds))


def requests_a_second(uri: str, points: int, rounds: int) -> float:
    """Answered by MLflow's server on SQLite to CLIENTS threads, each with a run of its own and `rounds` requests."""
    client = MlflowClient(uri)
    runs = [client.create_run("0").info.run_id for _ in range(CLIENTS)]

    def send(run: str) -> None:
        for number in range(rounds):
            values = [Metric(f"m{each}", 1.0, int(1000 * time()), number) for each in range(points)]
            client.log_batch(run, metrics=values)

    threads = [Thread(target=send, args=(run,)) for run in runs]
    began = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return CLIENTS * rounds / (perf_counter() - began)


if __name__ == "__main__":
    main()
