"""The version, and the released ones with the rules by which they made records (llmctx/rules.py)."""

VERSION = "0.2.0"

RELEASED: dict[str, tuple[str | None, ...]] = {
    "0.1.0": (None,),  # its records name no rules
}
"""Released version -> the first 8 hex digits of its rules digest; `make release-line` prints the line for a release.
From then on a change of the rules needs a new version: tests/unit/test_rules.py holds the table against the sources."""
