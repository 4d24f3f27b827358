"""`python -m audit [ADVISORIES.zip]`: pip-audit on all locks; exits with 1 if a package is known to be vulnerable.

Advisories come from the package index, or, for a machine without network, from a file: OSV's archive of all advisories
for PyPI, which any machine with network can fetch. A package about which nothing could be learnt is an error too.
"""

import subprocess
import sys
from pathlib import Path

from audit.advisories import Advisories, answering

ROOT = Path(__file__).parents[2]
PIP_AUDIT = ROOT / ".venv" / "checks" / "bin" / "pip-audit"
LOCKS = ("requirements.lock", "docker/server.lock")
"""What the image and users install."""


def audit(advisories: Path | None, locks: tuple[str, ...] = LOCKS) -> int:
    """Exit code of pip-audit."""
    command = [str(PIP_AUDIT), "--strict", "--disable-pip", "--require-hashes", "--progress-spinner=off"]
    command += [f"--requirement={ROOT / lock}" for lock in locks]
    if advisories is None:
        return subprocess.run(command, check=False).returncode
    with answering(Advisories.read(advisories)) as url:
        return subprocess.run([*command, "--vulnerability-service=osv", f"--osv-url={url}"], check=False).returncode


if __name__ == "__main__":
    sys.exit(audit(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
