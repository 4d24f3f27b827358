"""What runs keep and nobody needs any more: found, hidden under a temporary name, deleted."""
