"""The console: a web page that tells at a glance what is behind, since when, and why."""
