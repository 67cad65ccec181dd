"""Backups: a snapshot of the server and the state directory, proven by restoring it, and restored when needed."""
