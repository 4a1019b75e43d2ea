"""The `layerkit` command: Ctrl-C while it is imported, half a second, leaves no traceback.

It is outside of the package, since Python imports a package before the modules in it.
"""

import signal


def main() -> int:
    """Import the command, and run it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from layerkit.cli.command import main as command

    signal.signal(signal.SIGINT, before)
    return command()
