"""What pyproject.toml cannot say: a wheel has the folder pipelines/ as launcher/pipelines/."""

from setuptools import find_namespace_packages, setup

setup(
    packages=["launcher.pipelines", *find_namespace_packages(include=["launcher*", "locat*"])],
    package_dir={"launcher.pipelines": "pipelines"},
)
