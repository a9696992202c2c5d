"""What watching 200 groups costs."""
