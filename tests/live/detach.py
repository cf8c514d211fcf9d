"""Taking programs off devices by hand."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path


def detach(process: int) -> int:
    """Detach every program that a process has attached to something, as ``bpftool link detach`` does."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    count = 0
    for info in Path(f"/proc/{process}/fdinfo").iterdir():
        found = re.search(r"^link_id:\s*(\d+)", info.read_text(), re.MULTILINE)
        if found:
            fd = libbpf.bpf_link_get_fd_by_id(int(found[1]))
            assert fd >= 0
            assert libbpf.bpf_link_detach(fd) == 0
            os.close(fd)
            count += 1
    return count
