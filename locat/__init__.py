"""What runs inside a job: LocAt models, data, training and evaluation.

Importing this package, `locat.config`, `locat.job_folder`, `locat.durable` or
`locat.errors` never imports torch, so the launcher can validate a job's config.
"""

__version__ = "0.1.0"
