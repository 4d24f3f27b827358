"""What is done with runs, the same from a shell and from Python: nothing in here writes to a terminal."""
