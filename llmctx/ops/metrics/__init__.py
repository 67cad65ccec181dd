"""Metrics for Prometheus: what a service settles, and how its server and its trail stand. No label names a symbol."""
