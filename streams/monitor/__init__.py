"""Watching consumer groups from outside: what they commit, and how they are doing."""
