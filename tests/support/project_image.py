"""The image of docker/Dockerfile, built without a registry: over a Debian that is made here, and kept in a cache.

`PYTHONPATH=tests python -m support.project_image` builds it and prints where its archive is. Of changed sources only
the last layers are built again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.required import isolation, space

ROOT = Path(__file__).parents[2]
CACHE = Path.home() / ".cache" / "locat" / "image"
SPACE = 25
"""GB that building it for the first time takes; later less."""
BASE = "debian:bookworm-slim"
OF_THIS_MACHINE = {
    "/etc/apt/sources.list.d/debian.sources": "etc/apt/sources.list.d",
    "/etc/apt/apt.conf.d/99artifact-registry": "etc/apt/apt.conf.d",
    "/usr/local/share/ca-certificates/*.crt": "usr/local/share/ca-certificates",
}
"""How packages are reached from here, and where the base wants it."""


@dataclass(frozen=True)
class Recipe:
    """An image, and what it is made of: files and folders of `context`."""

    name: str
    context: Path
    dockerfile: Path
    parts: tuple[str, ...]

    def digest(self) -> str:
        return _digest(self.dockerfile, *(self.context / part for part in self.parts))


ROOT_PARTS = ("LICENSE", "README.md", "docker", "launcher", "locat", "pipelines", "requirements.lock", ".dockerignore")
LOCAT = Recipe("locat:test", ROOT, ROOT / "docker" / "Dockerfile", ROOT_PARTS)
_POSTGRES = ROOT / "tests" / "cluster" / "postgres"
POSTGRES = Recipe("postgres:test", _POSTGRES, _POSTGRES / "Dockerfile", ("entrypoint",))
PACKAGED = (
    "requirements.lock",
    "docker/server.lock",
    "docker/triton-cc",
    "docker/launcher",
    "locat/models/kernels/compiled",
)
PROJECT = "\n# The project is the last layer"
"""Where in docker/Dockerfile the packages are done: what precedes is built once for the same locks, and kept."""

# Runs as root in namespaces of its own.
CONTAINER = """
set -e
root=$1 work=$2; shift 2
hostname localhost
echo "127.0.0.1 localhost" > "$root/etc/hosts"
echo > "$root/etc/resolv.conf"
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
if test -n "$work"; then mkdir "$root/tmp/work" && mount --bind "$work" "$root/tmp/work"; fi
ip link set lo up
cd "$root/opt/locat"
exec setpriv --no-new-privs chroot --userspec=1000:1000 "$root" /usr/bin/env -i --chdir=/opt/locat "$@"
"""


def forbidden() -> str:
    """Why no image can be built here, whatever is installed; empty if one can."""
    return isolation() or ("" if has_archive() else space(CACHE, SPACE))


def missing() -> str:
    """Why no image can be built here; empty if one can."""
    if reason := forbidden():
        return reason
    absent = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}: `make container-tools` installs them" if absent else ""


def has_archive() -> bool:
    """Whether the image has been built before, of whichever sources."""
    return any(CACHE.glob("locat-*.tar"))


def built(recipe: Recipe = LOCAT) -> Path:
    """The image's archive, as `docker save` writes it; many minutes where the locked packages have changed."""
    digest = recipe.digest()
    kind = recipe.name.partition(":")[0]
    archive = CACHE / f"{kind}-{digest}.tar"
    with _locked():
        if not archive.exists():
            _build(recipe)
            for old in CACHE.glob(f"{kind}-*.tar*"):  # some GB each
                old.unlink()
            new = archive.with_suffix(".tar.new")
            _buildah("push", "--quiet", recipe.name, f"docker-archive:{new}:{recipe.name}")
            new.rename(archive)
    return archive


@dataclass(frozen=True)
class Container:
    """The image's files, to run commands in as a pod does: read-only root, uid 1000, no network but loopback."""

    root: Path
    variables: tuple[str, ...]
    labels: dict[str, str]

    def run(self, *command: str, work: Path | None = None, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        """Run a command; `work`, a folder of user 1000, is /tmp/work in there."""
        isolated = [
            "unshare",
            "--mount",
            "--net",
            "--uts",
            "--pid",
            "--ipc",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            CONTAINER,
        ]
        arguments = ["sh", str(self.root), str(work or ""), *self.variables, *command]
        return subprocess.run([*isolated, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


@contextlib.contextmanager
def container() -> Iterator[Container]:
    """A container of the newest `locat:test`."""
    with _locked():
        _build(LOCAT)
    image = json.loads(_buildah("inspect", "--type", "image", LOCAT.name))["Docker"]["config"]
    name = f"container-{os.getpid()}"
    _buildah("from", "--pull-never", f"--name={name}", LOCAT.name)
    try:
        yield Container(Path(_buildah("mount", name).strip()), tuple(image["Env"]), image["Labels"])
    finally:
        _buildah("rm", name)


def _build(recipe: Recipe) -> None:
    if not _known(BASE):
        _make_base()
    text = recipe.dockerfile.read_text()
    slow, mark, quick = text.partition(PROJECT)
    if mark:
        files = (ROOT / name for name in PACKAGED)
        key = hashlib.sha256(f"{slow} {_digest(*files)}".encode()).hexdigest()[:12]
        packages = f"localhost/locat-packages:{key}"
        if not _known(packages):
            for old in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
                if "locat" in old:  # some GB each
                    _buildah("rmi", "--force", old)
            _bud(recipe, slow, packages)
        text = f"FROM {packages}\n{mark}{quick}"
    _bud(recipe, text, recipe.name, "--layers")
    _remove_left()


def _bud(recipe: Recipe, dockerfile: str, name: str, *options: str) -> None:
    (CACHE / "Dockerfile").write_text(dockerfile)
    command = ["bud", "--pull-never", "--isolation=chroot", "--network=host", "--format=docker", "--quiet", *options]
    command += ["--build-arg=VERSION=test", f"--build-arg=REVISION={recipe.digest()}", f"--tag={name}"]
    _buildah(*command, f"--file={CACHE}/Dockerfile", str(recipe.context))


def _remove_left() -> None:
    """Remove containers of processes that were killed, and what images were made of before."""
    for name in _buildah("containers", "--format", "{{.ContainerName}}").split():
        if not Path(f"/proc/{name.rpartition('-')[2]}").exists():
            _buildah("rm", name)
    if not _buildah("containers", "--quiet").split():
        _buildah("rmi", "--prune")


def _known(name: str) -> bool:
    return name in _buildah("images", "--format", "{{.Name}}:{{.Tag}}")  # which may put a registry before it


def _digest(*starts: Path) -> str:
    """Of files, and of all that is in folders."""
    digest = hashlib.sha256()
    for start in starts:
        for path in sorted([start, *start.rglob("*")]):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(
                    f"{path.relative_to(start.parent)} {os.access(path, os.X_OK)} {len(content)}\n".encode() + content
                )
    return digest.hexdigest()[:12]


def _make_base() -> None:
    """A smallest Debian that reaches packages as this machine does, under the name that Dockerfiles ask for."""
    folder = CACHE / "base"
    shutil.rmtree(folder, ignore_errors=True)
    sources = Path("/etc/apt/sources.list.d/debian.sources").read_text().splitlines()
    mirror = next(line.split()[1] for line in sources if line.startswith("URIs:"))
    _run("debootstrap", "--variant=minbase", "bookworm", str(folder), mirror)
    (folder / "etc/apt/sources.list").unlink()
    for pattern, target in OF_THIS_MACHINE.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for file in Path("/").glob(pattern.lstrip("/")):
            shutil.copy(file, folder / target)
    (folder / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
    for left in ("var/cache/apt/archives", "var/lib/apt/lists"):
        shutil.rmtree(folder / left)
    name = _buildah("from", "scratch").strip()
    _buildah("add", "--quiet", name, str(folder), "/")
    _buildah("commit", "--rm", "--quiet", "--format=docker", name, BASE)
    shutil.rmtree(folder)


def _buildah(*arguments: str) -> str:
    storage = [f"--root={CACHE}/storage", f"--runroot={CACHE}/run", "--storage-driver=overlay"]
    return _run("buildah", *storage, *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-4000:]}{done.stderr[-8000:]}"
    return done.stdout


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One builder at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    if reason := missing():
        sys.exit(reason)
    print(built())
