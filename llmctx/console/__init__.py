"""The console: pages and an API in which the desk, the risk officer and the auditor see what was decided, and why."""
