"""The rebuild's part of the bench: how fast, in how much memory, and what live work notices."""
