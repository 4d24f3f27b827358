"""Looks the locked packages up among known vulnerabilities; `make audit`."""
