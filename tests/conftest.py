"""Settings of hypothesis for the whole suite.

Compiling a kernel makes a first example slow, so no example has a deadline. In CI the examples
are the same on every run; elsewhere each run tries others.
"""

import os

from hypothesis import settings

settings.register_profile(
    "npgpt", deadline=None, derandomize="CI" in os.environ, print_blob=True
)
settings.load_profile("npgpt")
