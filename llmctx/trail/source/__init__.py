"""Where records are read from: one interface over whatever keeps them, and how they are looked up."""
