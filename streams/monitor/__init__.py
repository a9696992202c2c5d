"""Watching the whole: lag, freshness, health, and the incidents that follow from them."""
