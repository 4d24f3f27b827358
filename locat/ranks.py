"""Starts the ranks of one node and sees to them: `python -m locat.ranks --processes=2 [--nodes=2] -m locat CONFIG`.

torchrun does it, but for how they meet. By itself torchrun listens on every interface, asks nobody who he is and
unpickles what it is sent. Here the ranks of one node meet in a file that this user alone can open, and talk over the
loopback interface. Several nodes need the network: they meet at a port that was drawn for the attempt
(`locat.contract.meeting`), and what is sent there is never unpickled. docs/security.md says what remains.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from locat.contract.errors import UserError
from locat.contract.job_folder import ExitCode
from locat.contract.meeting import NODE, PLACE, SLURM_NODE, STORE, Meeting, free_port
from locat.imports import uncollected

with uncollected():
    from torch.distributed import HashStore, run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.rendezvous import (
        RendezvousHandler,
        RendezvousInfo,
        RendezvousParameters,
        RendezvousStoreInfo,
        rendezvous_handler_registry,
    )

ALONE = "locat-alone"
"""torchrun's name for how one node meets: nobody else."""
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
"""Variables by which ranks of one node listen to nobody else."""


class Alone(RendezvousHandler):
    """A meeting of torchrun with itself; what it notes stays in its memory."""

    def __init__(self, parameters: RendezvousParameters) -> None:
        self.run_id = parameters.run_id
        self.store = HashStore()

    @property
    def use_agent_store(self) -> bool:
        return False

    def get_backend(self) -> str:
        return ALONE

    def next_rendezvous(self) -> RendezvousInfo:
        # There is no store over TCP, and LocAt's ranks ask for none; those of a user's program may make one there.
        return RendezvousInfo(self.store, 0, 1, RendezvousStoreInfo("localhost", free_port()))

    def is_closed(self) -> bool:
        return False

    def set_closed(self) -> None:
        pass

    def num_nodes_waiting(self) -> int:
        return 0

    def get_run_id(self) -> str:
        return self.run_id

    def shutdown(self) -> bool:
        return True


def main(words: Sequence[str] | None = None) -> None:
    """Start the ranks and wait for them; exits as torchrun does, or with 75 where this process was asked to stop."""
    usage = "%(prog)s --processes=N [--nodes=N] FILE|-m MODULE [ARGUMENT...]"
    parser = argparse.ArgumentParser(prog="python -m locat.ranks", usage=usage, description=__doc__)
    parser.add_argument("--processes", type=int, required=True, help="ranks of this node")
    parser.add_argument("--nodes", type=int, default=1)
    given = sys.argv[1:] if words is None else words
    own = list(takewhile(lambda word: word.startswith("--"), given))
    asked, program = parser.parse_args(own), given[len(own) :]
    common = [f"--nnodes={asked.nodes}", f"--nproc-per-node={asked.processes}", "--max-restarts=0"]
    if asked.nodes > 1:
        run.main([*common, *_at_meeting(), *program])
        return
    os.environ.update(LOOPBACK)
    rendezvous_handler_registry.register(ALONE, Alone)
    with tempfile.TemporaryDirectory(prefix="locat-", ignore_cleanup_errors=True) as private:  # of mode 700
        os.environ[STORE] = str(Path(private) / "store")
        # A machine's own name leads nowhere on many a laptop and in many a container; torchrun would look it up.
        run.main([*common, f"--rdzv-backend={ALONE}", "--local-addr=localhost", *program])


def _at_meeting() -> list[str]:
    """Of several nodes: torchrun's static rendezvous, whose notes are JSON."""
    node = os.environ.get(NODE) or os.environ.get(SLURM_NODE)
    if PLACE not in os.environ or node is None:
        raise UserError(f"several nodes meet where {PLACE} says, and each is told its number by {NODE}; neither is set")
    place = Meeting.parse(os.environ[PLACE])
    return [
        *("--rdzv-backend=static", f"--rdzv-endpoint={place}", f"--node-rank={node}"),
        *(f"--master-addr={place.host}", f"--master-port={place.port}"),
    ]


if __name__ == "__main__":
    try:
        main()
    except SignalException as error:  # its ranks were asked to stop as well, and have ended
        print(error, file=sys.stderr)
        sys.exit(ExitCode.PREEMPTED)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(ExitCode.INVALID)
