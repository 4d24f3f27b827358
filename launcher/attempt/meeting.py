"""Where the nodes of an attempt meet: at a port of the first one that is drawn anew for each attempt.

Who reaches that port on the network can disturb the ranks, so it is told to nobody else: it is in their variables, and
where each node is started by itself in a file of the attempt's folder that this user alone can read.
"""

import os
from pathlib import Path

from launcher import machine
from launcher.attempt.host import Host
from locat.contract.meeting import NODE, PLACE, Meeting, free_port

FILE = "meeting"


def arranged(folder: Path, host: Host) -> dict[str, str]:
    """Variables of the first node's command, once the others can read where to meet."""
    place = Meeting(host.address or machine.host(), free_port())
    if not host.scheduled_as:
        return {PLACE: str(place)}  # the others' commands are started by the first one's, which tells them
    descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, str(place).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return {PLACE: str(place), NODE: "0"}


def joined(folder: Path, node: str) -> dict[str, str]:
    """Variables of another node's command."""
    return {PLACE: (folder / FILE).read_text(), NODE: node}
