"""What the tests of the program share: the settings and text of a tiny run, and its processes."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = [
    "--block-size", "16", "--n-layer", "1", "--n-head", "2", "--n-embd", "8", "--batch-size", "4",
    "--max-iters", "6", "--eval-interval", "3", "--warmup-iters", "2", "--sample-tokens", "10",
]
CHAR = ["--tokenizer", "char"]
FORTY = [*TINY, "--max-iters", "40", "--eval-interval", "5"]
TEXT = "It was too tired to cross the street, so it slept.\n\nThe end, said the hen.\n" * 12


def files(folder):
    """Every file below a folder, with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def settings_of(folder, **changes):
    """Return the content of a run's config.json, after changes of its settings of training."""
    path = Path(folder, "config.json")
    config = json.loads(path.read_text(encoding="utf-8"))
    if changes:
        config["training"] |= changes
        path.write_text(json.dumps(config), encoding="utf-8")
    return config


def module_of(path):
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_same_checkpoint(one, two, *more):
    for name in ("model.safetensors", "train_state.safetensors", *more):
        assert Path(one, name).read_bytes() == Path(two, name).read_bytes(), name


def resumed_at(out):
    """Return the step that the output of a resumed run names first, and not for its loss."""
    return int(re.search(r"\bstep (\d+)\b(?!:)", out)[1])


def environment(**changes):
    return os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | changes


def run_program(*arguments):
    """Run the program in this process, where it does what it is asked."""
    from npgpt.cli import main

    assert main([str(argument) for argument in arguments]) == 0


def npgpt(*arguments, code=None, launcher=(), cwd=ROOT, env=None, **options):
    """Run the program, or `code` with these arguments, in a process; return what it gave."""
    program = ["-c", code] if code else ["-m", "npgpt"]
    command = [*launcher, sys.executable, *program, *arguments]
    return subprocess.run(
        [str(part) for part in command], check=False, cwd=cwd, env=environment(**(env or {})),
        **({"capture_output": True, "encoding": "utf-8"} | options),
    )
