"""The export: a trail as files that an auditor can verify without Redis."""
