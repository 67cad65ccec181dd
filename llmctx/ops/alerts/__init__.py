"""Alerts: a webhook or a command receives the log records that somebody must know about."""
