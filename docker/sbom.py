"""What an image is made of, as a CycloneDX bill of materials: `docker run --rm -i IMAGE python - < docker/sbom.py`.

Read by the image's own Python from what Debian and the packages noted at their installation; needs nothing else.
"""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

STATUS = Path("/var/lib/dpkg/status")
RELEASE = Path("/etc/os-release")


def components() -> Iterator[dict[str, str]]:
    """Debian's packages, then Python's."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', RELEASE.read_text(), re.MULTILINE)) if RELEASE.exists() else {}
    system = release.get("ID", "linux")
    for entry in STATUS.read_text().split("\n\n") if STATUS.exists() else ():
        fields = dict(re.findall(r"^([\w-]+): (.*)$", entry, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name, version, architecture = (fields[key] for key in ("Package", "Version", "Architecture"))
            at = f"arch={architecture}&distro={system}-{release.get('VERSION_ID', '')}"
            yield component(name, version, f"pkg:deb/{system}/{quote(name)}@{quote(version, safe='')}?{at}")
    for found in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        yield component(name, found.version, f"pkg:pypi/{name}@{quote(found.version, safe='')}")


def component(name: str, version: str, purl: str) -> dict[str, str]:
    """A package; `purl` names it for every tool that reads bills of materials."""
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def bill() -> dict[str, object]:
    """The same image gives the same text."""
    parts = {part["purl"]: part for part in components()}
    of = {"component": {"type": "container", "bom-ref": "locat", "name": "locat"}}
    listed = [parts[purl] for purl in sorted(parts)]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": of, "components": listed}


if __name__ == "__main__":
    print(json.dumps(bill(), indent=2))
