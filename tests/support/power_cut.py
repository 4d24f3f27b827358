"""What a power cut would take from a folder, at each moment at which a process in it names a file.

power_cut.c is preloaded into the process. A file is lost unless its last content was synced, and unless each folder
from the root down to it was synced since it has this entry: the worst that a file system may do.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

SYNC = "import os, sys; os.fsync(os.open(sys.argv[1], os.O_RDONLY))"
SOURCE = Path(__file__).with_suffix(".c")


@dataclass
class Disk:
    """What is on the disk for certain."""

    contents: dict[int, tuple[int, int]] = field(default_factory=dict)
    """inode -> time of change and size at the last sync."""
    entries: dict[int, set[str]] = field(default_factory=dict)
    """A folder's inode -> names in it at the last sync."""

    def keeps(self, held: "Held", all_held: Mapping[Path, "Held"], root: Path) -> bool:
        """Whether the file or folder would be there with all it holds."""
        if not held.folder and self.contents.get(held.inode) != (held.changed, held.size):
            return False
        path = held.path
        while path != root:
            if path.name not in self.entries.get(all_held[path.parent].inode, set()):
                return False
            path = path.parent
        return True


@dataclass(frozen=True)
class Held:
    """A file or a folder."""

    inode: int
    changed: int
    size: int
    folder: bool
    path: Path


@dataclass(frozen=True)
class Naming:
    """The moment before a file or a folder gets its final name."""

    old: Path
    new: Path
    lost: frozenset[Path]
    """What a power cut would have taken just then."""

    def loses(self, folder: Path) -> list[Path]:
        """What of this folder's contents would have been taken, other than what is being named."""
        return sorted(path for path in self.lost if folder in path.parents and path not in (self.old, self.new))


class Recorder:
    """Records what a process does in the folder `root`."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root, self.log = root, scratch / "power_cut.log"
        library = scratch / "power_cut.so"
        command = ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
        subprocess.run(command, check=True)
        self.environment = {
            "LD_PRELOAD": str(library),
            "POWER_CUT_ROOT": str(root),
            "POWER_CUT_LOG": str(self.log),
        }

    def disk_is_as_it_is(self) -> None:
        """Take what is there now as synced: what others did before is not looked at."""
        environment = {**os.environ, **self.environment}
        for path in (self.root, *self.root.rglob("*")):
            subprocess.run([sys.executable, "-c", SYNC, path], env=environment, check=True)

    def namings(self) -> list[Naming]:
        """Each of them, in order."""
        return list(self._replay())

    def _replay(self) -> Iterator[Naming]:
        disk, named, held = Disk(), None, {}
        for line in [*self.log.read_text().splitlines(), "end"]:
            kind, *words = line.split("\t")
            if kind == "holds":
                inode, changed, size, letter, path = words
                held[Path(path)] = Held(int(inode), int(changed), int(size), letter == "d", Path(path))
                continue
            if named:
                lost = frozenset(path for path in held if not disk.keeps(held[path], held, self.root))
                yield Naming(*named, lost)
            named, held = None, {}
            match kind:
                case "synced":
                    disk.contents[int(words[0])] = (int(words[1]), int(words[2]))
                case "entries":
                    disk.entries[int(words[0])] = set(words[1:])
                case "named":
                    named = Path(words[0]), Path(words[1])
