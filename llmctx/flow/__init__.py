"""Data in: recorded or simulated bars become live keys, positions and ticks."""
