"""The tables that encoding reads, built once from the merges of a tokenizer.

Tokens go by their indices here: 0 to 255 are the bytes, 256 + i is the token of merge i.

A *trie* finds the tokens that a text begins with: from its root each byte leads to a node, and a
node that stands for a token has the token's index. Other nodes have the indices from V on; V is the
root. Its edges are in one hash table, (node, byte) to node.

A token is left out of the trie if its own bytes are not encoded as that token. Learned merges make
no such token; a list written by hand may. With (a b) (b c) (ab c) the text "abc" becomes "ab" "c",
then "abc"; with (b c) (a b) (ab c) it becomes "a" "bc", and the last merge never happens.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import serial_kernel
from npgpt.fast.tokenizer.kernels.tables import EMPTY, U, find, inlined, new_size, put

TOKEN_BITS = 21  # two tokens and what they make fit into one word
NODE_BITS = 28


class Vocabulary(NamedTuple):
    """The tables of a tokenizer's tokens.

    left_V, right_V: the two tokens merged into each token; for a byte, both are the byte.
    length_V: bytes of each token. shorter_V: the longest token that it begins with, or -1.
    pairs: hash table, left << 21 | right to the token they make. edges: hash table of the trie.
    two: node of the trie after each two bytes, or -1. ids_V: the id of each token.
    """

    left_V: np.ndarray
    right_V: np.ndarray
    length_V: np.ndarray
    shorter_V: np.ndarray
    pairs: np.ndarray
    edges: np.ndarray
    two: np.ndarray
    ids_V: np.ndarray


@inlined
def stay_apart(pairs, left_V, right_V, left, right, limit):
    """Return True if the bytes of `left` and `right` together are encoded as these two tokens.

    Undoes the merges one by one. The token with the higher index was merged last; before that, its
    nearer half was at the boundary. At no time may the two tokens at the boundary have been a pair
    that is merged before the merge that did come next, `limit`. Among equal pairs the left one is
    merged first, hence the + 1.
    """
    apart = True
    while True:
        made = find(pairs, left << TOKEN_BITS | right, TOKEN_BITS)
        if 0 <= made < limit:
            apart = False
            break
        if left < 256 and right < 256:
            break
        if left > right:
            limit = left
            left = np.int64(right_V[U(left)])
        else:
            limit = right + 1
            right = np.int64(left_V[U(right)])
    return apart


@serial_kernel
def build_vocabulary(merges_M2, ids_V, starts_V1, token_bytes, order_V):
    """Return the Vocabulary of int64 merges (M, 2).

    ids_V: int32 (256 + M,). Token i has the bytes token_bytes[starts[i]:starts[i + 1]]. order_V:
    the tokens from the shortest to the longest.
    """
    M = len(merges_M2)
    V = 256 + M
    left_V, right_V = np.arange(V).astype(np.int32), np.arange(V).astype(np.int32)
    pairs = np.full(new_size(M), EMPTY, np.uint64)
    for i in range(M):
        left, right = merges_M2[i, 0], merges_M2[i, 1]
        left_V[256 + i], right_V[256 + i] = left, right
        put(pairs, left << TOKEN_BITS | right, 256 + i, TOKEN_BITS)
    reached_V = np.ones(V, np.bool_)
    for token in range(256, V):
        left, right = np.int64(left_V[token]), np.int64(right_V[token])
        reached_V[token] = (
            reached_V[left]
            and reached_V[right]
            and stay_apart(pairs, left_V, right_V, left, right, token)
        )
    length_V = (starts_V1[1:] - starts_V1[:-1]).astype(np.int32)
    shorter_V, edges, two = _trie(order_V[reached_V[order_V]], starts_V1, token_bytes)
    return Vocabulary(left_V, right_V, length_V, shorter_V, pairs, edges, two, ids_V)


@inlined
def _trie(tokens, starts_V1, token_bytes):
    """Return (shorter_V, edges, two) of tokens that come from the shortest to the longest.

    In that order the nodes of the tokens that a token begins with exist already.
    """
    V = len(starts_V1) - 1
    shorter_V = np.full(V, -1, np.int32)
    two = np.full(1 << 16, -1, np.int32)
    edges = np.full(new_size(V), EMPTY, np.uint64)
    nodes, entries = V + 1, 0
    for token in tokens:
        start, stop = starts_V1[token], starts_V1[token + 1]
        node = np.int64(V)
        for k in range(start, stop):
            byte = np.int64(token_bytes[k])
            following = find(edges, node << 8 | byte, NODE_BITS)
            if following < 0:
                following = np.int64(token)
                if k < stop - 1:
                    following, nodes = nodes, nodes + 1
                if 2 * (entries + 1) > len(edges):
                    edges = _doubled(edges)
                put(edges, node << 8 | byte, following, NODE_BITS)
                entries += 1
            if k == start + 1:
                two[np.int64(token_bytes[start]) << 8 | byte] = following
            node = following
            if node < V and k < stop - 1:
                shorter_V[token] = node
    return shorter_V, edges, two


@inlined
def _doubled(edges):
    larger = np.full(2 * len(edges), EMPTY, np.uint64)
    for word in edges:
        if word != EMPTY:
            put(larger, word >> U(NODE_BITS), word & U((1 << NODE_BITS) - 1), NODE_BITS)
    return larger
