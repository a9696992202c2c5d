"""Everything that touches Kafka or a venue."""
