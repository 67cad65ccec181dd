"""What we asked: a template renders a package to messages, and text from outside can never become an instruction."""
