"""`python -m launcher`, the same as `launcher`."""

from launcher.cli import main

main()
