"""What every command needs: options, settings, sources of records, and printing."""
