"""Numba's own settings, which it reads from the environment when it is imported."""

import os
import warnings
from contextlib import contextmanager


@contextmanager
def settings_of_numba():
    """Inside, Numba is imported. Raises ValueError for a variable in the environment that it cannot
    use, of which it would print a traceback and go on, or end with one."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Environment variable", RuntimeWarning)
            yield
    except (RuntimeWarning, ValueError) as error:
        given = {name: value for name, value in os.environ.items() if name.startswith("NUMBA_")}
        raise ValueError(
            f"Numba cannot use its settings in the environment ({str(error).splitlines()[0]}); of "
            f"{given}, unset or correct the one that is meant"
        ) from error
