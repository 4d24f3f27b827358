"""How a job trains and evaluates, whatever its task: the loop, its strategies, checkpoints, guards and tracking."""
