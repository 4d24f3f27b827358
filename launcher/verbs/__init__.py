"""The verbs of the command line, one file each; `launcher.cli` lists them."""
