"""Who is who in the cluster: an authority, certificates signed by it, kubeconfigs that hold them."""

import base64
import datetime
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFE = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates and writes them to a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signed = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(True, None), True)
        self.file = self._write(name, self._key, signed.sign(self._key, hashes.SHA256())).certificate

    def issue(self, user: str, *, group: str = "", hosts: Iterable[str] = ()) -> Certificate:
        """A certificate of a user (of a group), or of a server known by these host names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        builder = self._builder(subject, key)
        if alternatives := [_alternative(host) for host in hosts]:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), False)
        return self._write(user.replace(":", "-"), key, builder.sign(self._key, hashes.SHA256()))

    def kubeconfig(self, server: str, user: str, group: str = "") -> Path:
        """A kubeconfig of a user, complete in one file."""
        issued = self.issue(user, group=group)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "locat-test",
            "clusters": [
                {"name": "locat-test", "cluster": {"server": server, "certificate-authority-data": _data(self.file)}}
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": _data(issued.certificate),
                        "client-key-data": _data(issued.key),
                    },
                }
            ],
            "contexts": [{"name": "locat-test", "context": {"cluster": "locat-test", "user": user}}],
        }
        path = self._folder / f"{user.replace(':', '-')}.kubeconfig"
        path.write_text(yaml.safe_dump(content))
        path.chmod(0o600)
        return path

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(hours=1),
            not_valid_after=now + LIFE,
        )

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Certificate:
        files = Certificate(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pem = serialization.Encoding.PEM
        files.certificate.write_bytes(certificate.public_bytes(pem))
        plain = serialization.NoEncryption()
        files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        files.key.chmod(0o600)
        return files


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _data(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
