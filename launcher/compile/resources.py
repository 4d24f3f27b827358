"""What a job occupies, and the command that starts it on one node."""

from pathlib import Path

from launcher.compile.combinations import Report
from launcher.language.model import ResourceRequest
from launcher.language.words import mebibytes, minutes
from launcher.plan import Resources
from locat.contract.problems import KeyPath


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
    if asked.gpu_type and not gpus:
        report((*path, "gpu_type"), "a type of GPU, but no gpus; say how many")
    memory, time = asked.memory or defaults.memory, asked.time or defaults.time
    return Resources(
        nodes,
        processes,
        gpus,
        asked.cpus or defaults.cpus or processes,
        gpu_type=(asked.gpu_type or defaults.gpu_type or "") if gpus else "",
        memory=mebibytes(memory) if memory else None,
        time=minutes(time) if time else None,
    )


def command(resources: Resources, config: Path) -> tuple[str, ...]:
    """What runs on each node; `locat.ranks` says how the ranks of one or several find each other."""
    if resources.nodes * resources.processes == 1:
        return ("python", "-m", "locat", str(config))
    nodes = (f"--nodes={resources.nodes}",) if resources.nodes > 1 else ()
    return ("python", "-m", "locat.ranks", *nodes, f"--processes={resources.processes}", "-m", "locat", str(config))
