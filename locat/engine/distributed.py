"""The ranks of a job: one process group, whatever started it (torchrun or a bare python)."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from locat.contract.meeting import STORE
from locat.contract.outcome import outcome_of, write_outcome
from locat.engine import peers

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those of its job."""

    rank: int
    world_size: int
    device: torch.device
    timeout: timedelta = timedelta(minutes=30)
    """How long they wait for each other."""

    @property
    def is_main(self) -> bool:
        """Whether this rank is the one that writes what exists once."""
        return self.rank == 0

    def gpu_memory(self) -> tuple[int, int]:
        """Bytes that this process has held at most of its GPU's memory, and that the GPU has; zeros on a CPU."""
        if self.device.type != "cuda":
            return 0, 0
        total: int = torch.cuda.get_device_properties(self.device).total_memory
        return torch.cuda.max_memory_reserved(self.device), total

    def mean(self, value: torch.Tensor) -> float:
        """Average of a scalar over all ranks; every rank must call it."""
        value = value.detach().clone().float()
        dist.all_reduce(value)
        return value.item() / self.world_size

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on some rank; every rank must call it and gets the same answer."""
        value = torch.tensor(int(flag))  # on the CPU: the GPU need not be waited for
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return bool(value.item())

    def from_main(self, value: T) -> T:
        """The main rank's `value` (anything JSON can say), on every rank; every rank must call it."""
        return self.gather(value if self.is_main else None)[0]  # type: ignore[return-value]

    def gather(self, value: T, group: dist.ProcessGroup | None = None) -> list[T]:
        """Every rank's `value` (anything JSON can say), by rank; every rank must call it, of `group` if not of all.

        torch's own collectives of objects are pickles: locat/engine/peers.py.
        """
        own = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.world_size)]
        dist.all_gather(sizes, torch.tensor([len(own)]), group=group)
        longest = max(int(size) for size in sizes)
        padded = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
        dist.all_gather(padded, torch.cat((own, torch.zeros(longest - len(own), dtype=torch.uint8))), group=group)
        texts = (part[: int(size)].numpy().tobytes() for part, size in zip(padded, sizes, strict=True))
        return [json.loads(text) for text in texts]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        dist.barrier()


@contextmanager
def join_ranks(patience: float = 1800.0) -> Iterator[Ranks]:
    """Join the process group that the environment describes; without one, a group of one.

    The ranks wait for each other for `patience` seconds. Why one fails is written before the others can notice. On GPUs
    it then stays in the group: to leave it would be to wait for ranks that wait for this one.
    """
    peers.restrict()
    timeout = timedelta(seconds=patience)
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if STORE in os.environ and "RANK" in os.environ:
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        store = dist.FileStore(os.environ[STORE], world_size)
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size, timeout=timeout)
    elif "RANK" in os.environ:
        dist.init_process_group(backend, timeout=timeout)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    stays = False
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), device, timeout)
    except Exception as error:
        write_outcome(*outcome_of(error))
        stays = device.type == "cuda"
        raise
    finally:
        if not stays:
            dist.destroy_process_group()
