"""Start a cluster to play with, until Ctrl-C: `make cluster`."""

import signal
import sys

from .cluster import Cluster
from .host import missing


def main() -> int:
    if reason := missing():
        print(f"no cluster can be started here: {reason}", file=sys.stderr)
        return 1
    cluster = Cluster()
    cluster.start()
    stop = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    print(
        f"A cluster of {' and '.join(cluster.nodes)} with JobSet runs until Ctrl-C. To use it from another shell:\n"
        f"  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.folder}/bin:$PATH\n"
        "  kubectl get pods --all-namespaces\n"
        "For images, volumes and faults (see tests/cluster/cluster.py) start Python with PYTHONPATH=tests:\n"
        "  from pathlib import Path; from cluster.cluster import Cluster\n"
        f"  cluster = Cluster.attach(Path('{cluster.folder}'))",
        flush=True,
    )
    signal.sigwait(stop)
    cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
