"""Ranks meet where nobody else of the machine or the network can join them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from locat.contract.job_folder import ExitCode
from locat.contract.meeting import NODE, PLACE, Meeting
from support import small_runs, uids
from support.required import require

RANK = """
import os, time
from pathlib import Path
from locat.engine.distributed import join_ranks

folder = Path(__file__).parent
with join_ranks() as ranks:
    mine = {"rank": ranks.rank, "name": "caf\\udce9", "losses": [0.1, float("inf")]}
    assert [each["rank"] for each in ranks.gather(mine)] == [0, 1]
    assert ranks.gather(mine)[ranks.rank] == mine
    assert ranks.from_main(f"step-{ranks.rank}") == "step-0"
    (folder / f"up-{ranks.rank}").write_text(os.environ.get("LOCAT_STORE", ""))
    while not (folder / "go").exists():
        time.sleep(0.05)
    ranks.barrier()
"""
IMPORTS = "import os, pickle, signal, sys; from datetime import timedelta; from torch.distributed import TCPStore"
ATTACK = """
store, *ports = sys.argv[1:]

class Bomb:
    def __reduce__(self):
        return os.system, ("touch " + MARK,)

MARK = "/tmp/locat-test-attack-%d" % os.getpid()
if store:
    for attempt in (lambda: os.listdir(os.path.dirname(store)), lambda: open(store, "rb"), lambda: open(store, "ab")):
        try:
            attempt()
            print("opened the store")
        except PermissionError:
            pass
for port in ports:
    if (child := os.fork()) == 0:
        signal.alarm(5)  # what is no store never answers
        met = TCPStore("127.0.0.1", int(port), None, False, timedelta(seconds=3), wait_for_workers=False)
        for key in ("torch.rendezvous.none", "torch.rendezvous.1", *getattr(met, "list_keys", list)()):
            met.set(key, pickle.dumps(Bomb()))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        print("wrote to a store at", port)
print(MARK)
"""


@contextmanager
def started(folder: Path, *options: str, **variables: str) -> "Iterator[subprocess.Popen[bytes]]":
    (folder / "rank.py").write_text(RANK)
    command = [sys.executable, "-P", "-m", "locat.ranks", *options, "-m", "rank"]
    variables["PYTHONPATH"] = f"{folder}:{os.environ.get('PYTHONPATH', '')}"
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        (folder / "go").touch()
        if process.poll() is None:
            process.terminate()
        process.wait()


def up(folder: Path, *processes: "subprocess.Popen[bytes]") -> None:
    def ended() -> bool:
        return any(process.poll() is not None for process in processes)

    small_runs.until(lambda: len(list(folder.glob("up-*"))) == 2 or ended())
    assert not ended(), (folder / "log").read_text()


def listening(process: "subprocess.Popen[bytes]") -> set[tuple[str, int]]:
    """Addresses and ports at which it and what it started listen."""
    family = (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True))
    found = (each for member in family for each in member.net_connections("inet") if each.status == psutil.CONN_LISTEN)
    return {(each.laddr.ip, each.laddr.port) for each in found}


@pytest.mark.slow
def test_nobody_else_joins_the_ranks_of_one_node(tmp_path: Path) -> None:
    """No store listens at all; a second user can neither open the file that is one, nor disturb what listens."""
    with started(tmp_path, "--processes=2") as job:
        up(tmp_path, job)
        places = listening(job)
        assert {address for address, _ in places} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
        store = (tmp_path / "up-0").read_text()
        assert Path(store).parent.stat().st_mode & 0o777 == 0o700
        if not (missing := uids.second()):
            attacked = uids.run_as_nobody(ATTACK, store, *(str(port) for _, port in places), imports=IMPORTS)
            mark = attacked.stdout.split("\n")[-2] if attacked.returncode == 0 else ""
            assert attacked.stdout == f"{mark}\n", attacked.stdout + attacked.stderr
            assert not Path(mark).exists()
        (tmp_path / "go").touch()
        assert job.wait(small_runs.TIMEOUT) == 0, (tmp_path / "log").read_text()
    assert not Path(store).parent.exists()
    require(missing)


@pytest.mark.slow
def test_what_is_written_to_the_store_of_several_nodes_is_not_unpickled(tmp_path: Path) -> None:
    """There the network has to be trusted with the job's end, and with nothing else."""
    require(uids.second())
    place = Meeting("127.0.0.1", 29871)
    here = {PLACE: str(place)}
    options = ("--nodes=2", "--processes=1")
    with started(tmp_path, *options, **here, **{NODE: "0"}) as one, started(tmp_path, *options, **here, **{NODE: "1"}):
        up(tmp_path, one)
        attacked = uids.run_as_nobody(ATTACK, "", str(place.port), imports=IMPORTS)
        assert "wrote to a store" in attacked.stdout, attacked.stdout + attacked.stderr
        mark = Path(attacked.stdout.split("\n")[-2])
        (tmp_path / "go").touch()
        one.wait(small_runs.TIMEOUT)
        assert not mark.exists()


def test_nodes_that_are_not_told_where_to_meet_say_so(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "locat.ranks", "--nodes=2", "--processes=1", "x.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == ExitCode.INVALID
    assert ended.stderr.startswith("several nodes meet where LOCAT_MEETING says")
    assert "Traceback" not in ended.stderr
