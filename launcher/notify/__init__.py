"""Telling people how jobs and runs stand: what there is to tell, to whom, and that once (docs/notify.md)."""
