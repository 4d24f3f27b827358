"""`python -m launcher`, the same as `launcher`."""

from launcher import interpreter


def main() -> None:
    """Entry point of the console script."""
    interpreter.settle()
    from launcher.cli import main  # with what was installed, and not what lies in the current folder

    main()


if __name__ == "__main__":
    main()
