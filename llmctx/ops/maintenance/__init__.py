"""Maintenance: archive, backup and cleanup when they are due."""
