"""What runs beside a job's command, on every backend: `python -m launcher.attempt RUN_FOLDER JOB`."""
