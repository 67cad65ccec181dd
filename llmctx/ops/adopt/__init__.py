"""Adopt an existing keyspace; nothing is written to its server.

survey (which keys there are) → names (what other systems call the fields) → proposal (rules, as a file) → preview
(packages made with them).
"""
