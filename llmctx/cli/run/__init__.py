"""Commands that bring data in and make decisions."""
