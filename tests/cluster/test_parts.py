"""What of the cluster can be told without starting it."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from . import addons, build
from .certificates import Authority
from .images import Image, archive


def test_an_image_is_one_program_and_nobody_is_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAT_CACHE", str(tmp_path))
    program = tmp_path / "program"
    program.write_bytes(b"binary")
    image = Image("locat.test/program:1", program, "/bin/program")
    with tarfile.open(archive([image])) as tar:
        manifest = json.loads(_read(tar, "manifest.json"))
        settings = json.loads(_read(tar, manifest[0]["Config"]))
        layer = tar.extractfile(manifest[0]["Layers"][0])
        with tarfile.open(fileobj=layer) as files:
            assert [(entry.name, entry.mode) for entry in files] == [("bin/program", 0o755)]
    assert manifest[0]["RepoTags"] == [image.name]
    assert settings["config"]["User"] == "65532:65532"


def test_what_a_build_left_unfinished_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAT_CACHE", str(tmp_path))

    def fail(new: Path) -> None:
        new.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        build.cached("thing", fail)
    made = build.cached("thing", lambda new: shutil.copy(__file__, new))
    assert made.read_text() == Path(__file__).read_text()
    assert build.cached("thing", fail) == made


def test_an_authority_vouches_for_what_it_issued_only(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ours, other = Authority(tmp_path, "authority"), Authority(tmp_path / "other", "authority")
    issued = _load(ours.issue("server", hosts=("name", "127.0.0.1")).certificate)
    issued.verify_directly_issued_by(_load(ours.file))
    with pytest.raises(InvalidSignature):
        issued.verify_directly_issued_by(_load(other.file))
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["name"]


def test_fake_nodes_are_numbered_on() -> None:
    nodes = list(yaml.safe_load_all(addons.fake_nodes(20, 2, 8)))
    assert [node["metadata"]["name"] for node in nodes] == ["kwok-20", "kwok-21"]
    assert all(node["status"]["allocatable"]["nvidia.com/gpu"] == "8" for node in nodes)


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file
    return file.read()


def _load(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())
