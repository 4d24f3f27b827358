"""Which worker of `pytest -n` runs which file, and when: those that need the cluster's programs once they are built."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

from cluster import build

TESTS = Path(__file__).parents[1]
CLUSTER = "cluster"
WAIT = ("tests/image/test_checks.py", CLUSTER)
"""What needs those programs; of these the cluster's tests come first, as they take longest."""
START_NOTHING = "tests/cluster/test_parts.py"


class Scheduling(LoadFileScheduling):
    """A file goes to one worker, as its tests share fixtures; so do all files that share the cluster.

    Where the cluster's programs have not been built, that is done beside other tests, which come first meanwhile.
    Both take CPU time in equal parts: the tests that wait are half of all.
    """

    _builder: "subprocess.Popen[bytes] | None" = None

    def end(self) -> None:
        """Stop building: the tests have ended."""
        if self._builder and self._builder.poll() is None:
            os.killpg(self._builder.pid, signal.SIGKILL)
            self._builder.wait()

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return CLUSTER if file.startswith("tests/cluster/") and file != START_NOTHING else file

    def _assign_work_unit(self, node: WorkerController) -> None:
        wait = [scope for scope in WAIT if scope in self.workqueue]
        if CLUSTER in wait and not self._builder and not all(program.built for program in build.PROGRAMS):
            self._builder = _start_building()
        for scope in wait:
            self.workqueue.move_to_end(scope, last=bool(self._builder) and self._builder.poll() is None)
        super()._assign_work_unit(node)


def _start_building() -> "subprocess.Popen[bytes]":
    """Its log is told by the tests, which try again what failed."""
    build.cache().mkdir(parents=True, exist_ok=True)
    with (build.cache() / "build.log").open("wb") as log:
        command = [sys.executable, "-m", "cluster.prepare"]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
