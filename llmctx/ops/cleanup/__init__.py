"""Cleanup of what live data leaves behind. No key of the trail, no position, no tick and no decision is ever touched.

Only keys of the families in `schema.keys` are touched, recognised by their exact form. Whatever is removed is compared
with what was read, in the same step as its removal, so a writer at work loses nothing.
"""
