"""What a shell's variables may change about tracking: how a server is reached, never which one, nor what is sent."""

import ipaddress
import os
from contextlib import suppress
from urllib.parse import urlsplit

from locat.contract.tracking_uri import IGNORED, SERVERS


def settle(uri: str) -> None:
    """Make the environment of this process fit for sending to `uri`."""
    for name in IGNORED:
        os.environ.pop(name, None)
    host = urlsplit(uri).hostname if uri.startswith(SERVERS) else None
    if host and _is_this_machine(host):
        _without_proxy(host)


def _is_this_machine(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _without_proxy(host: str) -> None:
    """A proxy would look for `localhost` on its own machine; `no_proxy` in small letters is what is read first."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if host not in known.split(","):
        os.environ["no_proxy"] = ",".join(filter(None, (known, host)))
