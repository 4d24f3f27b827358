import time

import pytest
import torch

from locat.engine.guards.throughput import Throughput

CPU = torch.device("cpu")


def wait(throughput: Throughput, seconds: float) -> None:
    with throughput.waiting():
        time.sleep(seconds)


def test_the_share_of_waiting_and_the_images_are_counted() -> None:
    throughput = Throughput(CPU)
    for _ in range(4):
        wait(throughput, 0.03)
        time.sleep(0.01)
        throughput.count(8)
    found = throughput.metrics()
    assert 0.6 < found["throughput/data_wait"] < 0.9
    assert 32 / 0.4 < found["throughput/images_per_second"] < 32 / 0.16


def test_what_was_before_a_restart_does_not_count() -> None:
    throughput = Throughput(CPU)
    wait(throughput, 0.02)
    throughput.restart()
    time.sleep(0.01)
    assert throughput.metrics() == {
        "throughput/images_per_second": 0,
        "throughput/data_wait": pytest.approx(0),
    }


def test_a_ranks_own_work_is_its_waiting_and_its_forward_passes() -> None:
    throughput = Throughput(CPU)
    for _ in range(2):
        wait(throughput, 0.02)
        with throughput.forward():
            time.sleep(0.03)
        time.sleep(0.1)  # backward, and the other ranks
    assert 0.1 <= throughput.own < 0.2
    throughput.restart()
    assert throughput.own == 0
