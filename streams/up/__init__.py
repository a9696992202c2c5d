"""`tape up`: the whole chain of one venue as child processes, watched until it is stopped."""
