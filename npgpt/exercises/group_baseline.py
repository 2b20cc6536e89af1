"""Advantages from a group of draws: the baseline is the group's own mean."""

import numpy as np

TASK = """
The group baseline. A model writes N stories for each of G prompts, and each gets a reward. How much
better than usual was a story? The mean reward of its own group says what is usual there:

    A_gn = r_gn - mean over the group g of r

GRPO also divides by the group's standard deviation (the root of the mean squared deviation). A
group whose rewards are all equal tells nothing, and its advantages are 0.
"""
RETURNS = "advantage_GN"
WHERE = "npgpt.reward.losses.advantages"
HINTS = """
r_GN.mean(axis=1, keepdims=True) has a mean for each group.
Where the deviation is 0 so is r - mean: divide by 1 there.
A = r - mean; std = A.std(axis=1, keepdims=True); return A / np.where(std > 0, std, 1)
"""


def group_baseline(r_GN, scaled):
    """Return advantages (G, N).    rewards (G, N); scaled: True to divide by the deviation"""
    centred_GN = r_GN - r_GN.mean(axis=1, keepdims=True)
    if not scaled:
        return centred_GN
    std_G1 = np.sqrt((centred_GN**2).mean(axis=1, keepdims=True))
    return centred_GN / np.where(std_G1 > 0, std_G1, 1)


def cases(rng):
    for scaled in (False, True):
        yield {"r_GN": rng.integers(0, 2, (3, 5)) * 1.0, "scaled": scaled}
        yield {"r_GN": rng.normal(size=(2, 4)) + 3.0, "scaled": scaled}
        yield {"r_GN": np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]), "scaled": scaled}


FAULTS = {
    "the baseline is left out: all draws of right stories pull, none of wrong ones pushes":
        {" - r_GN.mean(axis=1, keepdims=True)": " * 1.0"},
    "one mean for all groups: an easy prompt's stories all look good":
        {"r_GN.mean(axis=1, keepdims=True)": "r_GN.mean()"},
    "mean and deviation are taken over each column; a group is a row":
        {"axis=1": "axis=0"},
    "one mean and one deviation for all groups; each row has its own":
        {"axis=1, keepdims=True": ""},
    "the sign is wrong: the better story gets the lower advantage":
        {"r_GN - r_GN.mean(axis=1, keepdims=True)": "r_GN.mean(axis=1, keepdims=True) - r_GN"},
    "divided by the deviation even when not asked to": {"    if not scaled:\n"
                                                        "        return centred_GN\n": ""},
    "a group of equal rewards gives 0 / 0": {"np.where(std_G1 > 0, std_G1, 1)": "std_G1"},
    "the deviation is divided by N - 1, and not by N":
        {"(centred_GN**2).mean(": "centred_GN.var(ddof=1, "},
}
