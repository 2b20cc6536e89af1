"""Which peers are there: other people's libraries that do the same. None is needed to use npgpt."""

import importlib.util
import shutil

TORCH, COMPILED, BF16, JAX = "PyTorch", "torch.compile", "PyTorch, bf16 autocast", "JAX jit"
PACKAGES = {TORCH: "torch", COMPILED: "torch", BF16: "torch", JAX: "jax"}
COMPILERS = ("g++", "clang++", "cl")


def missing(peer):
    """Why a peer can not take part and what to do about it; "" if it can."""
    package = PACKAGES[peer]
    if importlib.util.find_spec(package) is None:
        return f"not measured: pip install {package} (or '.[peers]')"
    if peer == COMPILED and not any(map(shutil.which, COMPILERS)):
        return f"not measured: needs a C++ compiler ({' or '.join(COMPILERS)}) on the PATH"
    return ""


def present(peers):
    """(peers that can take part, pairs (peer, note) of the others)"""
    notes = [(peer, missing(peer)) for peer in peers]
    return [peer for peer, note in notes if not note], [pair for pair in notes if pair[1]]
