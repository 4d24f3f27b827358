"""Which entries of a folder are nobody's data."""

NAMES = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "lost+found", "system volume information"),
    *("@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin"),
}
"""In small letters: under these, systems and network drives keep what is their own."""


def is_system(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or one that a system keeps for itself."""
    return name.startswith(".") or name.lower() in NAMES
