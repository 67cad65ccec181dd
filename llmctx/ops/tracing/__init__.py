"""Traces by OpenTelemetry: the spans of a tick, made from its settled record and sent to a collector."""
