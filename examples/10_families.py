"""Why decoder-only? BERT, T5 and GPT of one size, trained for as many FLOPs, on four tasks.

    python examples/10_families.py               the study, or what is left of it
    python examples/10_families.py --report      tables and figure from the numbers that are there
    python examples/10_families.py --quick       tiny models for a few steps: does it run?

It is said that an encoder (BERT) is good for understanding and not for generation, an
encoder-decoder (T5) for translation and summarization, and a decoder (GPT) best for generation,
though it can do understanding tasks, too. The tales' grammar knows every right answer, so each of
these can be measured: `family_tasks.py` has the tasks, `families.py` the models.

Each family and seed is a trial of `laboratory.py`. Numbers go into examples/10_families.jsonl,
tables into examples/10_families.md.

Try:
- FLOPS = 4e12: which family suffers most from a smaller budget?
- RATES in `families.py`: does a family lose because its learning rate is wrong?
- another task with one right answer, in `family_tasks.py`: tell a story of one animal of several.
"""

import tempfile
from functools import cache
from pathlib import Path

from example import (
    FIGURES,
    expect,
    into_concepts,
    into_document,
    picture,
    run_study,
)
from families import (
    BATCH,
    FAMILIES,
    Rewriting,
    WordTokenizer,
    new_model,
    pretraining,
    told,
    train,
)
from family_arms import LONGER, PREFIXES, TIMES, beginnings
from family_tables import draw_results, tables
from family_tasks import (
    find_words,
    go_on,
    hidden_words,
    pairs_to_rewrite,
    probe,
    pronouns,
    rewrite,
)
from laboratory import kept, run

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS = (1, 2, 3)
FLOPS, REWRITE_FLOPS = 7.5e12, 2.5e12  # of a run: its training, and its training to rewrite
SIZES = {  # characters to train on and to test on, stories of a task, stories to learn to rewrite
    False: {"train": 10_000_000, "test": 1_200_000, "words": 400, "stories": 100,
            "rewritten": 300, "pairs": 20_000},
    True: {"train": 60_000, "test": 200_000, "words": 8, "stories": 4, "rewritten": 4, "pairs": 50},
}
QUICK_FLOPS = 3e8


@cache
def texts(quick):
    """Return (tokenizer, token ids to train on, stories of these to rewrite, stories to test)."""
    tokenizer, sizes = WordTokenizer("".join(told(600_000, seed=0))), SIZES[quick]
    ids_N = tokenizer.encode("".join(told(sizes["train"], seed=0)))
    # a story has about 160 characters
    to_rewrite = told(170 * sizes["pairs"], seed=0)[: sizes["pairs"]]
    return tokenizer, ids_N, to_rewrite, told(sizes["test"], seed=1)


def measure(settings):
    """Train a family, and return task -> numbers."""
    family, seed, quick = settings["family"], settings["seed"], settings.get("quick", False)
    if family == PREFIXES:
        return continuing(seed, quick)
    times = TIMES if family == LONGER else 1
    family = family.split(",")[0]
    flops, rewrite_flops = (QUICK_FLOPS,) * 2 if quick else (FLOPS, times * REWRITE_FLOPS)
    (tokenizer, ids_N, to_rewrite, stories), sizes = texts(quick), SIZES[quick]
    model, untrained = (new_model(family, tokenizer, seed, quick) for _ in range(2))
    model, steps, loss = train(model, family, ids_N, flops, seed=seed,
                               objective=pretraining(family, tokenizer))
    hidden = hidden_words(tokenizer, stories[: 2 * sizes["words"]])[: sizes["words"]]
    found = {
        "training": {"parameters": model.num_parameters(), "flops": flops, "steps": steps,
                     "loss": loss},
        "word": find_words(family, model, tokenizer, hidden),
        "go on": go_on(family, model, tokenizer, stories[: sizes["stories"]], seed=1000 * seed),
        "pronoun": {
            name: probe(family, model, tokenizer, rows)
            | {"untrained": probe(family, untrained.eval(), tokenizer, rows)["share"]}
            for name, rows in pronouns(tokenizer, stories).items()
        },
    }
    model, steps, loss = train(  # this changes the model, so it comes last
        model.train(), family, pairs_to_rewrite(tokenizer, to_rewrite), rewrite_flops, seed=seed,
        rate=0.5, objective=Rewriting(family, tokenizer),
    )
    pairs = pairs_to_rewrite(tokenizer, stories)[: sizes["rewritten"]]
    return found | {"rewrite": rewrite(family, model, tokenizer, pairs) | {
        "flops": rewrite_flops, "steps": steps, "loss": loss, "pairs": steps * BATCH[family]}}


def continuing(seed, quick):
    """Train a T5 to continue stories for as many FLOPs, and return how it does."""
    (tokenizer, *_, stories), sizes = texts(quick), SIZES[quick]
    pairs = beginnings(tokenizer, told(sizes["train"], seed=0))
    model, steps, loss = train(
        new_model("t5", tokenizer, seed, quick), "t5", pairs, QUICK_FLOPS if quick else FLOPS,
        seed=seed, objective=Rewriting("t5", tokenizer),
    )
    return {
        "training": {"parameters": model.num_parameters(), "steps": steps, "loss": loss},
        "go on": go_on(PREFIXES, model, tokenizer, stories[: sizes["stories"]], seed=1000 * seed),
    }


def write_report():
    """Put the tables into the two documents, and draw the figure, from the numbers there are."""
    rows = kept(RESULTS)
    found = tables(rows)
    into_concepts("10_families", found.pop("summary"))
    for name, table in found.items():
        into_document(REPORT, name, table)
    picture(draw_results, FIGURES / "10_families.png", rows)
    return rows


def main(quick=False, figures=FIGURES, workers=None):
    expect(f"""
        Three families of 0.9 million parameters, each trained on tales for {FLOPS:.2g} FLOPs.
        Expect GPT to tell stories that the grammar derives, and the others hardly any; a GPT that
        tries each word to find hidden words better than BERT and T5, which see both sides in one
        pass, and these better than a GPT that sees the left; T5 and BERT to rewrite, and GPT not.
        """)
    if quick:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "quick.jsonl"
            run([{"family": f, "seed": 1, "quick": True} for f in FAMILIES], measure, path, 0)
            rows = kept(path)
        print(*tables(rows).values(), sep="\n")
        picture(draw_results, figures / "10_families.png", rows)
        return rows
    run([{"family": f, "seed": seed} for seed in SEEDS for f in FAMILIES], measure, RESULTS,
        workers)
    return write_report()


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds")
