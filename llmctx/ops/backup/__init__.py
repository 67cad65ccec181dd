"""Backups: a snapshot of the server and the state directory, proven by restoring it, and put back when it is needed."""
