"""Where the real nft is, if something else in ``PATH`` is called so too."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

SBIN: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where nft is, and ordinary users' ``PATH`` does not look."""
NOT_INSTALLED: Final = "nft is not installed (Debian: apt-get install nftables)"


def real_nft() -> str | None:
    """The path of nft: the first in ``PATH`` that is not this program by another name.

    Returns:
        None where it is not installed.
    """
    own = Path(sys.argv[0]).resolve()
    for folder in [*os.environ.get("PATH", os.defpath).split(os.pathsep), *SBIN]:
        path = Path(folder, "nft")
        target = path.resolve()
        if target != own and target.name != "flowtable" and target.is_file() and os.access(target, os.X_OK):
            return str(path)
    return None
