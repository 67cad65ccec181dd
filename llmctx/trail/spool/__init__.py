"""The copy on disk: every record is synced here before it is published, and refilled from here if Redis loses it."""
