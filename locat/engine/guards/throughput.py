"""How fast training goes, how much of its time it waits for data, and which rank holds the others up."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import torch


class Throughput:
    """Counts images, waiting and this rank's own work since the last `restart`."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self.restart()

    def restart(self) -> None:
        """Begin again, so that what was done in between (evaluation, checkpoints) does not count."""
        self._since, self._waited, self._forward, self._images = time.perf_counter(), 0.0, 0.0, 0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The next batch is asked for inside."""
        asked = time.perf_counter()
        yield
        self._waited += time.perf_counter() - asked

    @contextmanager
    def forward(self) -> Iterator[None]:
        """A forward pass is inside: on a GPU its time is taken there, and read by `own`."""
        if self._on_gpu:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            yield
            end.record()
            self._events.append((begin, end))
        else:
            began = time.perf_counter()
            yield
            self._forward += time.perf_counter() - began

    def count(self, images: int) -> None:
        """Say that so many images were consumed."""
        self._images += images

    @property
    def own(self) -> float:
        """Seconds that this rank waited for its data and computed forward passes: what others may wait for.

        Under fsdp a forward pass waits for the other ranks as well; there it is mostly the data that tell them apart.
        """
        if self._events:
            self._events[-1][1].synchronize()
        on_gpu: float = sum(begin.elapsed_time(end) for begin, end in self._events)  # milliseconds
        return self._waited + self._forward + on_gpu / 1000

    def metrics(self) -> dict[str, float]:
        """Images per second, and the share (0..1) of the time in which this rank waited for its data."""
        seconds = time.perf_counter() - self._since
        return {
            "throughput/images_per_second": self._images / seconds,
            "throughput/data_wait": self._waited / seconds,
        }


def slowest(own: Sequence[float]) -> dict[str, float]:
    """The rank with the most work of its own (`Throughput.own` of each), and its time over the median of all."""
    rank = max(range(len(own)), key=own.__getitem__)
    return {"ranks/slowest": rank, "ranks/slowest_to_median": own[rank] / max(median(own), 1e-9)}
