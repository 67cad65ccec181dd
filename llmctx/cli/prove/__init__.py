"""Commands that prove the trail unaltered."""
