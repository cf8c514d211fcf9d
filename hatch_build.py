"""Compiles what of the package is C.

The fast path becomes a shared library and, of the same sources, a BPF object; the reading and writing
of captures another library.

The compiler is Zig's, a build requirement from PyPI. It brings its own headers and builds for other
machines too: FLOWTABLE_TARGET is a target of Zig's like ``aarch64-linux-gnu.2.28``. As a script, this file
compiles in place.
"""

from __future__ import annotations

import os
import shutil
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
        root = Path(self.root)
        if version == "editable":
            compile_all(root, root)
            return
        target = os.environ.get("FLOWTABLE_TARGET")
        made = Path(self.directory) / f"objects-{target or 'here'}"
        for result in compile_all(root, made, target):
            place = str(result.relative_to(PACKAGE.parent))
            build_data["force_include"][str(made / result)] = place
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform(target)}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing but the wheel."""
        for folder in Path(self.directory).glob("objects-*"):
            shutil.rmtree(folder)


def compile_all(root: Path, into: Path, target: str | None = None) -> list[Path]:
    """Compile what is older than a source.

    Args:
        root: the project.
        into: where the results go, by their places in the project.
        target: the machine, as Zig calls it; None for one like this.

    Returns:
        The places of all results in the project.
    """
    # No more of the processor than all of its kind have: a wheel goes places.
    native = ("-shared", "-fPIC", "-mcpu=baseline", *(() if target is None else ("-target", target)))
    bpf = ("-target", "bpfel-freestanding", "-mcpu=v3", "-c")
    for results, options in ((LIBRARIES, native), (PROGRAMS, bpf)):
        for source, result in results.items():
            path, made = root / source, into / result
            newest = max(each.stat().st_mtime for each in path.parent.iterdir())
            if made.exists() and made.stat().st_mtime > newest:
                continue
            made.parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "ziglang", "cc", *OPTIONS, *options, str(path), "-o", str(made)]
            subprocess.run(command, check=True)
    return [*LIBRARIES.values(), *PROGRAMS.values()]


def _platform(target: str | None) -> str:
    """The platform tag of the wheel, of a target with a version of its C library as PEP 600 has it."""
    if target is None:
        return sysconfig.get_platform().replace("-", "_").replace(".", "_")
    machine, system, library = target.split("-")
    _, _, version = library.partition(".")
    return f"manylinux_{version.replace('.', '_')}_{machine}" if version else f"{system}_{machine}"


if __name__ == "__main__":
    project = Path(__file__).parent
    compile_all(project, project)
