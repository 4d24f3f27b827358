"""PersistentVolumes that are folders of this machine, seen by all nodes."""

from pathlib import Path

import yaml

from .namespaces import Machine


def share(hub: Machine, folder: Path) -> None:
    """What the hub mounts in this folder later, nodes started from now on see."""
    folder.mkdir()
    hub.shell(f"mount --bind {folder} {folder}; mount --make-shared {folder}")


def make_folder(hub: Machine, folder: Path, limit: str) -> Path:
    """A folder that anybody may write to; with a limit (as mount takes it: 64M) no more than that.

    Returns where this machine's processes find it.
    """
    folder.mkdir()
    folder.chmod(0o777)
    if not limit:
        return folder
    hub.run("mount", "-t", "tmpfs", "-o", f"size={limit},mode=777", "volume", str(folder))
    return Path(f"/proc/{hub.pid}/root{folder}")


def persistent_volume(folder: Path, namespace: str, claim: str, size: str) -> dict[str, object]:
    """A volume for one claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{claim}"},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }


def claim_of(volume: dict[str, object], namespace: str, claim: str, size: str) -> dict[str, object]:
    """The claim that volume is for."""
    metadata = volume["metadata"]
    assert isinstance(metadata, dict)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": metadata["name"],
            "resources": {"requests": {"storage": size}},
        },
    }


def to_yaml(*manifests: dict[str, object]) -> str:
    return str(yaml.safe_dump_all(manifests))
