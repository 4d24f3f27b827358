"""Decides what runs where: reads a pipeline, compiles it to a plan, hands it to a scheduler, tells how it goes.

Never imports torch. Of `locat` it imports only `config`, `job_folder`, `durable` and `errors`.
"""
