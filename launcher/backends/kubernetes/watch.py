"""Waiting for a run to change, by watches of its JobSets and pods in the background."""

import threading
import time

from lightkube.resources.core_v1 import Pod

from launcher.backends.kubernetes.api_objects import WholeJobSet
from launcher.backends.kubernetes.cluster import Cluster, KubernetesError

SETTLE = 0.3
"""Seconds after a change in which others that belong to it come."""
AGAIN = 5.0
"""Seconds until a watch that failed is tried again."""


class Changes:
    """Knows when something of a run has changed since it was last asked."""

    def __init__(self, cluster: Cluster, run_id: str) -> None:
        self._changed = threading.Event()
        for kind in (WholeJobSet, Pod):
            threading.Thread(target=self._watch, args=(cluster, kind, run_id), daemon=True).start()

    def wait(self, timeout: float) -> None:
        """Return once something has changed, or after `timeout` seconds."""
        if self._changed.wait(timeout):
            time.sleep(SETTLE)
            self._changed.clear()

    def _watch(self, cluster: Cluster, kind: type, run_id: str) -> None:
        while True:
            try:
                for _ in cluster.watch(kind, run_id):
                    self._changed.set()
            except KubernetesError:
                time.sleep(AGAIN)  # whoever looks at the run next is told
