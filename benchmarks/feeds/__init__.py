"""What the feeds are measured by: venues' frames through the runner and the producer."""
