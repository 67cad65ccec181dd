"""Commands that run and watch the installation."""
