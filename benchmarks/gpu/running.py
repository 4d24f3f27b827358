"""Runs one part after the other, each in a process of its own with a limit; what is done is on the disk at once."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
LEAST = 5.0
"""Seconds for which no part is begun."""
TOLD = 4000
"""Characters of a part's output that are kept, its last ones."""


@dataclass(frozen=True)
class Part:
    """What is tried or measured, by a program that leaves its own results."""

    name: str
    limit: float
    """Seconds that it may take."""
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    """Modules without which it is left out."""
    environment: Mapping[str, str] | None = None
    """More variables."""


@dataclass(frozen=True)
class Record:
    """How a part went."""

    part: str
    status: str
    """`done`, `failed`, `cut` (by its limit), or `left out`."""
    seconds: float
    reason: str
    """Of all but `done`."""
    results: tuple[str, ...]
    """Files that it left in the results' folder."""
    told: str

    @property
    def file(self) -> str:
        """Its name in the results' folder."""
        return f"gpu-{self.part}.json"


def run_all(parts: Sequence[Part], budget: float, results: Path, environment: Mapping[str, str]) -> Iterator[Record]:
    """All parts in their order, within `budget` seconds; each record once it is written."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # whatever a part starts can be found, and ended with it
    until = time.monotonic() + budget
    for part in parts:
        record = attempt(part, until - time.monotonic(), results, environment)
        write_whole(results / record.file, json.dumps(asdict(record), indent=1) + "\n")
        print(f"{part.name}: {record.status} after {record.seconds:.0f} s {record.reason}".rstrip(), flush=True)
        yield record


def attempt(part: Part, left: float, results: Path, environment: Mapping[str, str]) -> Record:
    """Run one part for its limit at most, and for what is `left` of the budget."""
    if absent := [name for name in part.needs if not there(name, environment)]:
        return Record(part.name, "left out", 0.0, f"{', '.join(absent)} is not here", (), "")
    limit = min(part.limit, left)
    if limit < LEAST:
        return Record(part.name, "left out", 0.0, "no time was left", (), "")
    before, start = stamps(results), time.monotonic()
    with tempfile.TemporaryFile() as output:
        status, reason = run(part, limit, {**environment, **(part.environment or {})}, output.fileno())
        output.seek(0)
        told = output.read().decode(errors="replace")[-TOLD:]
    left_behind = tuple(sorted(name for name, stamp in stamps(results).items() if before.get(name) != stamp))
    return Record(part.name, status, round(time.monotonic() - start, 1), reason, left_behind, told)


def run(part: Part, limit: float, environment: Mapping[str, str], output: int) -> tuple[str, str]:
    """Status and reason of a part's process; nothing that it started is left."""
    try:
        process = subprocess.Popen(
            part.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=dict(environment)
        )
    except OSError as error:
        return "failed", str(error)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        return "cut", f"by its limit of {limit:.0f} s"
    finally:
        end_descendants()
    return ("done", "") if code == 0 else ("failed", f"exit code {code}")


def end_descendants() -> None:
    """Kill every process below this one, those in sessions of their own too, and wait until they are gone."""
    while found := children():
        for child in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)  # what it had started is now a child of this process


def children() -> list[int]:
    """Processes that this one has to wait for."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(file.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(file.parent.name))
    return found


def there(module: str, environment: Mapping[str, str]) -> bool:
    """Whether the parts' processes will find a module."""
    folders = environment.get("PYTHONPATH", "").split(os.pathsep)
    return find_spec(module) is not None or any((Path(folder) / module).is_dir() for folder in folders)


def stamps(folder: Path) -> dict[str, int]:
    """When each file in a folder was last changed."""
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}


def write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half written."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)


def archive(results: Path, names: Sequence[str], target: Path) -> None:
    """Pack some results into one file, for a machine from which only few come back."""
    part = target.with_name(f".{target.name}.part")
    with tarfile.open(part, "w:gz") as packed:
        for name in sorted(set(names)):
            packed.add(results / name, name)
    part.replace(target)
