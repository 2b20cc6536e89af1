"""Another value for each setting of a model, which the tests of settings and of the page share."""

from dataclasses import replace


def changed(config, name):
    """Return a config in which one setting has a different value, the first that it accepts."""
    before = getattr(config, name)
    values = [not before] if isinstance(before, bool) else [5, 3, 6, 2]
    values = ["fan_in", "gpt2"] if name == "init" else values
    for value in [before / 2 + 0.3] if isinstance(before, float) else values:
        if value != before:
            try:
                return replace(config, **{name: value})
            except ValueError:
                continue
    raise AssertionError(
        f"{type(config).__name__}: no value for {name}; add one in tests/changed_settings.py"
    )
