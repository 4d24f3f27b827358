"""Where the ranks of a job meet: variables that whoever starts them sets, and the ranks read."""

import socket
from dataclasses import dataclass

STORE = "LOCAT_STORE"
"""A file in a folder of this user alone: how the ranks of one node meet. Set by `locat.ranks`."""
PLACE = "LOCAT_MEETING"
"""`host:port` of the first node, drawn for this attempt: where several nodes meet. Set by the attempt runner."""
NODE = "LOCAT_NODE"
"""Number of this node among those of the job, where each is started by itself; within `srun` Slurm says it."""
SLURM_NODE = "SLURM_NODEID"


@dataclass(frozen=True)
class Meeting:
    """Where several nodes meet."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Meeting":
        """As `__str__` writes it."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def free_port() -> int:
    """A port that nothing uses; the kernel draws it at random."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
