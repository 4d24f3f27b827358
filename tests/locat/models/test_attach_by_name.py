"""`locat.attach`: a name of the package, without torch until it is used."""

import subprocess
import sys

import pytest

import locat
from locat.models.attach import attach


def test_it_is_attach():
    assert locat.attach is attach
    with pytest.raises(AttributeError, match="nothing"):
        _ = locat.nothing


def test_importing_the_package_imports_no_torch():
    code = "import sys, locat; assert 'torch' not in sys.modules; locat.attach; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
