"""A pytest plugin: what is C in the package is that of the folder FLOWTABLE_SANITIZED."""

import os
from pathlib import Path

from flowtable.capture import library as captures
from flowtable.datapath import library as datapath

for library in (captures, datapath):
    # The last part of a path wins where it begins at the root.
    library.NAME = str(Path(os.environ["FLOWTABLE_SANITIZED"]).resolve() / library.NAME)
