"""Editable installs as a path that type checkers and editors read, too; all else is in setup.cfg.

They do not run the import hook that setuptools installs otherwise. The folder on the path has links
to the two packages alone: nothing else of the clone can be imported.
"""

import sys
from contextlib import suppress
from pathlib import Path

from setuptools import setup

options, links = {}, Path("build", "editable")
if "editable_wheel" in sys.argv:
    with suppress(OSError):  # Windows without the right to make links: the hook, then
        links.mkdir(parents=True, exist_ok=True)
        for name in ("autograd", "npgpt"):
            (links / name).unlink(missing_ok=True)
            (links / name).symlink_to(Path("..", "..", name), target_is_directory=True)
        options = {"package_dir": {"": str(links)}}
setup(**options)
