"""The entry point of a child process of `tape up`: a `tape` command that ends with its parent.

The parent holds the other end of standard input open and never writes to it. Its end, even by
SIGKILL, is an end of file here, on every system and whichever of its threads started the child.
"""

from __future__ import annotations

import os
import signal
import threading
import time

#: Seconds that a command gets to stop by itself after its parent's death.
_STOP_WITHIN = 10.0


def main() -> None:
    """Run the command line, for no longer than the parent lives."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from streams.cli import main as tape

    tape()


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_WITHIN)
    os._exit(1)


if __name__ == "__main__":
    main()
