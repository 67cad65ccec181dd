"""The numbers of an answer: read out of its text, and held against those of a package."""
