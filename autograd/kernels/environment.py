"""Numba's own settings, which it reads from the environment when it is imported."""

import os
import warnings
from contextlib import contextmanager


@contextmanager
def settings_of_numba():
    """Raise ValueError if an import of Numba meets a variable of the environment that it cannot
    use, where Numba would print a traceback."""
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
