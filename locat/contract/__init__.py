"""What stands between the launcher and a job: folders, exit codes, errors, records. Free of torch."""
