"""Pipeline -> Plan: pure, reads and writes nothing."""
