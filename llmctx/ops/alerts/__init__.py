"""Alerts: whoever must know is told what the service logs, by a webhook or a command."""
