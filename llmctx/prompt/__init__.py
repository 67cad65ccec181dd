"""What we asked: a template renders a package to messages, and outside text can never become an instruction."""
