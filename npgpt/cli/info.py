"""`npgpt info MODEL` or `--preset NAME`: a model's size and the cost of a training step."""

import math
from dataclasses import asdict

from npgpt.cli import model_path, print_json
from npgpt.config import TrainConfig
from npgpt.loading import arch_of
from npgpt.loading.pretrained import reader
from npgpt.loading.runs import read_run
from npgpt.models import architecture
from npgpt.models.presets import PRESETS, from_preset
from npgpt.models.size import flops_per_token, parameters_by_part, step_memory, tokens_per_step
from npgpt.run.opening import shape_in_words


def add_arguments(parser):
    # No group: before Python 3.13 a positional argument in one cannot be parsed intermixed.
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="a run folder, such as runs/tales, or "
        "another MODEL of npgpt generate, to be trained with default settings; its default",
    )
    parser.add_argument("--preset", choices=PRESETS, help="a preset, before any training")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args):
    if args.preset:
        model, training = from_preset(args.preset)
        config = architecture(training.arch).Config(
            vocab_size=PRESETS[args.preset]["vocab_size"], **model)
    elif reader(folder := model_path(args.model, "info MODEL")).model_type(folder) is None:
        run = read_run(folder)
        config, training = run.model, run.training
    else:
        training = TrainConfig(arch=arch_of(folder))
        config = architecture(training.arch).Model.from_pretrained(folder).config
    parts = parameters_by_part(config)
    training_flops = 3 * (forward := flops_per_token(config))
    memory = step_memory(config, training.batch_size, training.gradient_accumulation_steps)
    tokens = tokens_per_step(config, training)
    result = {
        "model": asdict(config),
        "training": asdict(training),
        "parameters": sum(parts.values()),
        "parameters_by_part": parts,
        "flops_per_token_forward": forward,
        "flops_per_token_training": training_flops,
        "tokens_per_step": tokens,
        "step_memory_bytes": memory,
    }
    if args.json:
        return print_json(result)
    print(f"{training.arch}: {shape_in_words(config)}")
    print(f"\nparameters {result['parameters']:>20,}")
    for part, count in parts.items():
        print(f"  {part:<18} {count:>10,}  {count / result['parameters']:6.1%}")
    print("\narithmetic per token")
    print(f"  forward            {scaled(forward, 'FLOP'):>16}")
    print(f"  training           {scaled(training_flops, 'FLOP'):>16}")
    most = "at most " * bool(training.conversations)  # they are packed into shorter rows
    print(f"\na training step on {most}{tokens:,} tokens, "
          f"{training.batch_size} x {config.block_size} at a time")
    print(f"  arithmetic         {scaled(training_flops * tokens, 'FLOP'):>16}")
    for part, size in memory.items():
        print(f"  memory, {part:<11} {scaled(size, 'B'):>12}")


def scaled(count, unit):
    """Return a count as text with a prefix of its unit: `13.07 TFLOP`."""
    power = min(int(math.log10(count or 1)) // 3, 5)
    return f"{count / 1000**power:,.2f} {'kMGTP'[power - 1] if power else ''}{unit}"
