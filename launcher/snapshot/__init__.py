"""What jobs import of the project, copied when a run is submitted: an edit afterwards changes no queued, requeued or
retried job."""
