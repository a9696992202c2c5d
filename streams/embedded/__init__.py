"""The embedded stack: a real Kafka and a real PostgreSQL that come with the install."""
