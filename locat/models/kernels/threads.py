"""Spreading independent pieces of work over a CPU's cores: each core computes whole pieces, without others' help.

Torch itself splits every single operation among its threads, which for pieces that fit into a core's cache costs
more than it gains.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import torch

Piece = TypeVar("Piece")


def spread(work: Callable[[Sequence[Piece]], None], pieces: Sequence[Piece]) -> None:
    """Call `work` with a part of `pieces` in each of torch's threads. Gradients are not recorded."""
    threads = min(torch.get_num_threads(), len(pieces))
    if threads < 2:
        work(pieces)
        return
    shares = [pieces[start::threads] for start in range(threads)]
    for _ in _pool(torch.get_num_threads()).map(torch.no_grad()(work), shares):
        pass  # to have its error, if there is one


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which an operation of torch uses no others."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="locat-attention")
    ready = threading.Barrier(threads + 1)

    def alone() -> None:
        torch.get_num_threads()  # a thread's first question sets it to what all have
        torch.set_num_threads(1)
        ready.wait()

    for _ in range(threads):
        pool.submit(alone)
    ready.wait()
    torch.set_num_threads(threads)  # the last one set is what new threads take
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
