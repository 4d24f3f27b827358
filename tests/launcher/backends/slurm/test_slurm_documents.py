"""docs/slurm.md and README.md's part about Slurm, followed on a real Slurm cluster: their commands, as they stand."""

import re
from pathlib import Path

import pytest

from launcher.runs.state import Status
from support.documents import ON_SLURM, ROOT, blocks, lines
from support.reader import Reader, make_small
from support.slurm_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def reader(cluster: Cluster, tmp_path: Path) -> Reader:
    """At a login node of a cluster with the partition that README.md names."""
    cluster.ask("scontrol", "create", "PartitionName=gpu", "Nodes=n1,n2", "DefMemPerCPU=100", "State=UP")
    reader = Reader.with_files(tmp_path, "pipelines")
    make_small(tmp_path / "pipelines" / "digits.yaml")
    return reader


def test_every_command_does_what_the_reader_expects(cluster: Cluster, reader: Reader) -> None:
    readme, document = (blocks((ROOT / name).read_text()) for name in ("README.md", "docs/slurm.md"))
    of_readme = next(lines(block) for _, block in readme if "LAUNCHER_BACKEND=slurm" in block)
    of_document = lines(document[0][1])
    assert {*of_readme, *of_document} == ON_SLURM.keys()

    follow(reader, of_readme)
    assert set(cluster.ask("squeue", "--noheader", "--format=%P").split()) == {"gpu"}
    reader.does("launcher cancel --grace 0")
    reader.shell.clear()

    follow(reader, of_document)
    run = reader.run()
    assert run.plan().backend == "slurm"
    assert run.state("convert").status is Status.DONE and run.state("convert").attempt == 1
    queued = cluster.ask("squeue", "--noheader", "--format=%j").split()
    assert f"{run.name}/compare" in queued, "after it was cancelled and retried"


def follow(reader: Reader, commands: list[str]) -> None:
    for command in commands:
        said = reader.does(reader.filled(command, "convert"))
        assert re.search(ON_SLURM[command], said, re.MULTILINE), f"{command}\n{said}"
