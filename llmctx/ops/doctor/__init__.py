"""The doctor: examines a server, its trail and this host, and says what is wrong, what follows and what to do."""
