"""Metrics for Prometheus about settled records, the server and the trail. No label names a symbol."""
