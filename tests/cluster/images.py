"""Images of one static program each, without a registry or a container engine."""

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .build import cached

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
DOMAIN = "locat.test"
PAUSE = f"{DOMAIN}/pause:1"
PROBE = f"{DOMAIN}/probe:1"
"""What pods of these tests run; see go/probe/main.go."""


@dataclass(frozen=True)
class Image:
    """FROM scratch: `program` at `path`, as user 65532."""

    name: str
    program: Path
    path: str


def archive(images: list[Image]) -> Path:
    """An archive of images, kept in the cache."""
    parts = " ".join(f"{image.name} {image.program.name} {image.path}" for image in images)
    key = hashlib.sha256(parts.encode()).hexdigest()[:12]
    return cached(f"images-{key}.tar", lambda new: _write(images, new))


def _write(images: list[Image], target: Path) -> None:
    """Write images as `docker save` does."""
    manifest = []
    with tarfile.open(target, "w") as tar:
        for image in images:
            layer = _layer(image)
            digest = hashlib.sha256(layer).hexdigest()
            config = {
                "architecture": ARCHITECTURES[platform.machine()],
                "os": "linux",
                "config": {"Entrypoint": [image.path], "User": "65532:65532", "WorkingDir": "/"},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            }
            settings = json.dumps(config).encode()
            name = f"{hashlib.sha256(settings).hexdigest()}.json"
            _add(tar, f"{digest}/layer.tar", layer)
            _add(tar, name, settings)
            manifest.append({"Config": name, "RepoTags": [image.name], "Layers": [f"{digest}/layer.tar"]})
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _layer(image: Image) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as layer:
        _add(layer, image.path.lstrip("/"), image.program.read_bytes(), mode=0o755)
    return content.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    entry.mode = mode
    tar.addfile(entry, io.BytesIO(content))
