"""The mandate: limits that no answer can move."""
