"""Where records are read from: one interface over every kind of storage, and how records are looked up."""
