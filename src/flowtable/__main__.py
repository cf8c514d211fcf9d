"""``flowtable``, ``python -m flowtable``, and ``nft`` where a link to it is called so."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the command line, or nft's."""
    if Path(sys.argv[0]).name == "nft":
        from flowtable.live.nft.main import run  # without the rest of the command line

        sys.exit(run(sys.argv[1:]))
    from flowtable.cli import main as commands

    commands()


if __name__ == "__main__":
    main()
