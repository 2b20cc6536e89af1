"""What a section of RESULTS.md was measured of: the commit, and a digest of the code it calls."""

import ast
import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEP = "autograd/engine.py", "autograd/ops", "autograd/kernels", "npgpt/gpt.py", "npgpt/optim.py"
WORDS = "npgpt/bpe.py", "npgpt/pretokenize.py", "npgpt/fast/tokenizer"
CALLS = {
    "kernels": ("autograd/kernels",),
    "train_step": STEP,
    "engines": (*STEP, "examples/scalar_engine.py", "examples/whole_gpt.py"),
    "bfloat16": STEP,
    "generation": ("autograd/kernels", "npgpt/fast", "npgpt/generate.py", "npgpt/sampling.py"),
    "tokenizer": WORDS,
    "memory": STEP,
    "prepare": WORDS,
    "start_up": STEP,
    "scaling": STEP,
}
COMPILING = {ROOT / "autograd/kernels" / name for name in ("__init__.py", "compiler.py")}
# how kernels are imported and compiled changes no time but that of the start


def measured_of(part):
    """Return the end of a section's line on its machine."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                         capture_output=True, check=False)
    return f"commit {git.stdout.strip() or 'unknown'}, code {digest(part)}"


def digest(part):
    """Return six hexadecimal digits of the code that a part calls, without its docstrings and
    lines of comment."""
    found = hashlib.sha256()
    for name in CALLS[part]:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file not in COMPILING or part == "start_up":
                found.update("\n".join(_code(file.read_text(encoding="utf-8"))).encode())
    return found.hexdigest()[:6]


def _code(source):
    """Return the lines of a module that are neither blank nor docstring nor comment."""
    told = {
        number
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and ast.get_docstring(node, clean=False) is not None
        for number in range(node.body[0].lineno, node.body[0].end_lineno + 1)
    }
    lines = [line for n, line in enumerate(source.splitlines(), 1) if n not in told]
    return [line for line in lines if line.strip() and not line.strip().startswith("#")]
