"""What a user would take instead, each at its best settings."""
