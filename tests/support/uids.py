"""Another user of this machine, as far as the kernel is concerned."""

import os
import subprocess
import sys
from pathlib import Path

NOBODY = 65534
DROP = f"""
import os
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
"""


def second() -> str:
    """Why nothing can be run as another user here; empty if it can."""
    return "" if os.geteuid() == 0 else "only root can act as another user: run as root"


def let_in(folder: Path) -> None:
    """Let every user read a folder of pytest's, which keeps those above it for this user."""
    for each in (folder, *folder.parents):
        if not each.stat().st_mode & 0o001:
            each.chmod(0o755)


def run_as_nobody(
    code: str, *arguments: str, imports: str = "", timeout: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Run Python code that has none of this user's rights; `imports` before it gives them up, for a Python that only
    this user can read."""
    words = [sys.executable, "-P", "-c", f"{imports}\n{DROP}\n{code}", *arguments]
    return subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=timeout, check=False)
