"""What a section of RESULTS.md was measured of: the commit, and a digest of the code it calls."""

import ast
import hashlib
import io
import subprocess
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
STEP = "autograd/engine.py", "autograd/ops", "autograd/kernels", "npgpt/gpt.py", "npgpt/optim.py"
CALLS = {
    "kernels": ("autograd/kernels",),
    "train_step": STEP,
    "bfloat16": STEP,
    "generation": ("autograd/kernels", "npgpt/fast", "npgpt/generate.py", "npgpt/sampling.py"),
    "real_model": (
        *STEP, "npgpt/fast/decoder.py", "npgpt/fast/storage.py", "npgpt/generate.py",
        "npgpt/families/llama.py", "npgpt/loading/gguf.py",
    ),
}
COMPILING = {ROOT / "autograd/kernels" / name for name in ("__init__.py", "compiler.py")}
# how kernels are imported and compiled changes no time but that of the start
IMPORTS = ast.Import, ast.ImportFrom  # as of all files


def measured_of(part):
    """Return the end of a section's line on its machine."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                         capture_output=True, check=False)
    return f"commit {git.stdout.strip() or 'unknown'}, code {digest(part)}"


def digest(part):
    """Return six hexadecimal digits of the code that a part calls.

    Docstrings, comments, imports, names of files and the order of functions do
    not count: code that only moves is the code that was measured.
    """
    found = []
    for name in CALLS[part]:
        path = ROOT / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            if file not in COMPILING:
                found += _code(file.read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join(sorted(found)).encode()).hexdigest()[:6]


def _code(source):
    """Return the statements of a module, without blank lines, docstrings, comments and imports."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    nodes = list(ast.walk(ast.parse(source)))
    skipped = [node.body[0] for node in nodes
               if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
               and ast.get_docstring(node, clean=False) is not None]
    skipped += [node for node in nodes if isinstance(node, IMPORTS)]
    left_out = {n for node in skipped for n in range(node.lineno, node.end_lineno + 1)}
    statements = []
    for node in nodes[0].body:
        first = min([node, *getattr(node, "decorator_list", ())], key=lambda part: part.lineno)
        kept = [lines[n - 1] for n in range(first.lineno, node.end_lineno + 1) if n not in left_out]
        kept = [line for line in kept if line.strip()]
        statements += ["\n".join(kept)] * bool(kept)
    return statements
