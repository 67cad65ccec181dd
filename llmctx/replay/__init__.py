"""Decide recorded decisions again: from their evidence alone, or with another prompt or model."""
