"""Commands that replay and compare decisions, to improve a prompt or choose a model."""
