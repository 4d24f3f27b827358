"""What a job occupies, and the command that starts it on one node."""

from pathlib import Path

from launcher.errors import KeyPath
from launcher.matrix import Report
from launcher.pipeline import ResourceRequest
from launcher.plan import Resources


def settle(
    asked: ResourceRequest, defaults: ResourceRequest, distributed: bool, path: KeyPath, report: Report
) -> Resources:
    """The resources of a job that asked for `asked`, at `path`. What contradicts itself is reported.

    Several ranks are only for distributed tasks: to others the defaults for them do not apply.
    """
    nodes, processes, gpus = asked.nodes, asked.processes, asked.gpus
    if distributed:
        nodes = nodes or defaults.nodes
        gpus = defaults.gpus if gpus is None else gpus
        # A job that names its GPUs has named its ranks.
        processes = processes or (None if asked.gpus else defaults.processes)
    if gpus and processes and processes != gpus:
        key = "processes" if asked.processes else "gpus"
        report((*path, key), f"{processes} processes but {gpus} gpus; ranks are one a GPU: give the same number")
    nodes, gpus, processes = nodes or 1, gpus or 0, processes or gpus or 1
    if not distributed and nodes * processes > 1:
        key = "nodes" if asked.nodes and asked.nodes > 1 else "processes" if asked.processes else "gpus"
        report((*path, key), "this task runs as one process; leave it out, or give 1")
    return Resources(nodes, processes, gpus, asked.cpus or defaults.cpus or processes)


def command(resources: Resources, config: Path) -> tuple[str, ...]:
    """What runs on each node. Several nodes find each other as their scheduler tells torchrun (`PET_*` variables)."""
    if resources.nodes * resources.processes == 1:
        return ("python", "-m", "locat", str(config))
    gathering = "--standalone" if resources.nodes == 1 else f"--nnodes={resources.nodes}"
    ranks = f"--nproc-per-node={resources.processes}"
    return ("python", "-m", "torch.distributed.run", gathering, ranks, "-m", "locat", str(config))
