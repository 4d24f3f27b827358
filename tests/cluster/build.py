"""The programs of the cluster, built from Go modules once and kept by version."""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.required import space

SOURCE = Path(__file__).parent / "go"
ADDONS = SOURCE / "addons"
"""Has no code: its go.mod pins released programs and gives them one set of libraries, compiled once."""
NEEDED = (1, 26)
"""What JobSet is written in."""


@dataclass(frozen=True)
class Program:
    """One binary, of a package that the Go module in `source` has or requires."""

    name: str
    package: str
    source: Path = SOURCE

    @property
    def key(self) -> str:
        """Says what the binary is made of."""
        files = [self.source / "go.mod", self.source / "go.sum", *(self.source / self.package).glob("*.go")]
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]

    @property
    def file(self) -> str:
        """Its name in the cache."""
        return f"{self.name}-{self.key}"

    @property
    def built(self) -> bool:
        return (cache() / self.file).exists()


KUBERNETES = Program("kubernetes", ".")
COREDNS = Program("coredns", "./coredns")
PROBE = Program("probe", "./probe")
POLICIES = Program("policies", ".", SOURCE / "policies")
JOBSET = Program("jobset", "sigs.k8s.io/jobset", ADDONS)
KUEUE = Program("kueue", "sigs.k8s.io/kueue/cmd/kueue", ADDONS)
KWOK = Program("kwok", "sigs.k8s.io/kwok/cmd/kwok", ADDONS)
PROGRAMS = (PROBE, KUBERNETES, COREDNS, POLICIES, JOBSET, KUEUE, KWOK)
RELEASED = ("sigs.k8s.io/jobset", "sigs.k8s.io/kueue", "sigs.k8s.io/kwok")
"""Modules whose manifests are used as well."""
SPACE = 10
"""GB: what is compiled on the way takes 5, the modules 2."""


def go() -> str:
    """The Go command; empty if there is none new enough."""
    for command in (shutil.which("go"), Path(sys.executable).parent / "go"):
        if command and Path(command).exists():
            answer = subprocess.run([command, "env", "GOVERSION"], capture_output=True, text=True, env=_environment())
            version = answer.stdout.strip().removeprefix("go").split(".")
            if len(version) > 1 and (int(version[0]), int(version[1])) >= NEEDED:
                return str(command)
    return ""


def missing() -> str:
    """Why the programs cannot be built here, and are not built yet; empty if they can."""
    unbuilt = [program for program in PROGRAMS if not program.built]
    if unbuilt and (reason := space(cache(), SPACE)):
        return reason
    if not go():
        return "no Go: `make kubernetes` installs it"
    try:
        for program in unbuilt:
            _run([go(), "list", "-deps", program.package], program.source)
        for module in RELEASED:
            released(module)
    except RuntimeError as error:
        return f"Go modules cannot be downloaded: name a proxy with GOPROXY ({str(error).splitlines()[-1]})"
    return ""


def cache() -> Path:
    """The folder of the programs, which may not exist yet."""
    return Path(os.environ.get("LOCAT_CACHE", Path.home() / ".cache" / "locat")) / "cluster"


@contextlib.contextmanager
def locked(name: str) -> Iterator[Path]:
    """The folder of the cache, while nobody else holds the lock of that name."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def cached(name: str, make: Callable[[Path], object]) -> Path:
    """The file of that name in the cache, made first if it is not there; who comes meanwhile waits."""
    with locked(name) as folder:
        if not (folder / name).exists():
            new = folder / f"{name}.new"
            make(new)
            new.rename(folder / name)
    return folder / name


def build(program: Program) -> Path:
    """The binary of a program; minutes where it has not been built before."""

    def make(new: Path) -> None:
        print(f"building {program.name} (once, may take minutes) ...", file=sys.stderr, flush=True)
        began = time.monotonic()
        flags = "-s -w"
        if program is KUBERNETES:  # clients refuse a server of no version
            version = _version("k8s.io/kubernetes")
            major, minor, _ = version.removeprefix("v").split(".")
            values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
            flags += "".join(f" -X k8s.io/component-base/version.{key}={value}" for key, value in values.items())
        _run([go(), "build", "-trimpath", "-ldflags", flags, "-o", str(new), program.package], program.source)
        print(f"built {program.name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

    return cached(program.file, make)


def released(module: str) -> Path:
    """The folder of a module that an addon comes from, downloaded if need be."""
    return Path(json.loads(_run([go(), "mod", "download", "-json", module], ADDONS))["Dir"])


def _version(module: str) -> str:
    found = re.search(rf"^\s*{re.escape(module)} (\S+)$", (SOURCE / "go.mod").read_text(), flags=re.MULTILINE)
    assert found, f"{SOURCE}/go.mod does not require {module}"
    return found[1]


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _environment() -> dict[str, str]:
    # Static, so that the binaries run in images of nothing else; never another toolchain than the one found.
    return {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}


def build_all() -> None:
    """Build every program; the packages that they share, compiled, are not kept: they take 5 GB."""
    with locked("go-build") as folder:
        compiled = folder / "go-build"
        os.environ["GOCACHE"] = str(compiled)
        for program in PROGRAMS:
            build(program)
        shutil.rmtree(compiled, ignore_errors=True)
