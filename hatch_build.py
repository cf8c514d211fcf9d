"""Compiles what of the package is C.

The fast path becomes a shared library and, of the same sources, a BPF object; the reading and writing
of captures another library.

The compiler is Zig's, a build requirement from PyPI. It brings its own headers and builds for other
machines too: FLOWTABLE_TARGET is a target of Zig's like ``aarch64-linux-gnu``. As a script, this file
compiles in place.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("src/flowtable")
LIBRARIES = {
    PACKAGE / "datapath/c/native.c": PACKAGE / "datapath/libflowtable.so",
    PACKAGE / "capture/c/capture.c": PACKAGE / "capture/libcapture.so",
}
PROGRAMS = {PACKAGE / "datapath/c/kernel.c": PACKAGE / "datapath/kernel.o"}
OPTIONS = ("-O2", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror")


class CompileHook(BuildHookInterface[Any]):
    """Compiles before a wheel is packed, or the sources are installed in place."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and name the platform for which the wheel is."""
        if self.target_name != "wheel":
            return
        target = os.environ.get("FLOWTABLE_TARGET")
        compile_all(Path(self.root), target)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform(target)}"


def compile_all(root: Path, target: str | None = None) -> None:
    """Compile what is older than a source; for another machine, all."""
    native = ("-shared", "-fPIC") if target is None else ("-shared", "-fPIC", "-target", target)
    bpf = ("-target", "bpfel-freestanding", "-mcpu=v3", "-c")
    for results, options in ((LIBRARIES, native), (PROGRAMS, bpf)):
        for source, result in results.items():
            path, made = root / source, root / result
            newest = max(each.stat().st_mtime for each in path.parent.iterdir())
            if target is None and made.exists() and made.stat().st_mtime > newest:
                continue
            command = [sys.executable, "-m", "ziglang", "cc", *OPTIONS, *options, str(path), "-o", str(made)]
            subprocess.run(command, check=True)


def _platform(target: str | None) -> str:
    """The platform tag of the wheel."""
    if target is None:
        return sysconfig.get_platform().replace("-", "_").replace(".", "_")
    machine, system, *_ = target.split("-")
    return f"{system}_{machine}"


if __name__ == "__main__":
    compile_all(Path(__file__).parent)
