"""The first edition of `09_scaling_laws.py`: a record of four texts, to which nothing is added."""

from pathlib import Path

import pandas as pd
from laboratory import kept

RECORD = Path(__file__).with_name("09_scaling_laws_first.jsonl")


def cells(text):
    """Return a row for each size and budget of a text's grid: N, D, entropy, and the mean loss of
    the seeds at the rate at which seed 1 ends lowest."""
    runs = pd.DataFrame([
        row["settings"] | row["result"] for row in kept(RECORD)
        if row["settings"]["text"] == text and not {"predict", "stories"} & {*row["settings"]}
    ]).rename(columns={"parameters": "N", "tokens": "D"})
    first = runs[runs.seed == 1]
    best = first.loc[first.groupby(["flops", "channels"]).loss.idxmin()]
    found = runs.merge(best[["flops", "channels", "rate"]]).groupby(
        ["flops", "channels"], as_index=False).mean(numeric_only=True)
    sizes = found.groupby("flops").channels.transform("count")
    return found[sizes >= 3]  # not the runs that were predicted
