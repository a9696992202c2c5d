"""Whom a picture is told to: Prometheus, webhooks, the log."""
