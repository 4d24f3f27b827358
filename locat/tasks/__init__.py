"""What a job can do: one file per task."""
