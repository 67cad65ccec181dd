"""Commands that show live data and recorded decisions."""
