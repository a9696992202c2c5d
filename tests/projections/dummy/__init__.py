"""A projection added as a user would add one: a test of the frame."""
