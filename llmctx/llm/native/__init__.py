"""Providers' own protocols besides chat completions: where to post, how to ask and how to read."""
