"""Names that other programs use, and what to write here instead."""

import difflib

OF_OTHERS = {  # our names, and what other programs call the same
    "corpus": "data dataset data_dir train_file file text input f", "lr": "learning_rate max_lr",
    "max_iters": "epochs num_epochs num_train_epochs steps max_steps iterations iters",
    "block_size": "seq_len context context_length ctx ctx_size max_length n_ctx",
    "out": "o output output_dir out_dir checkpoint_dir name run_name",
    "batch_size": "bs per_device_train_batch_size", "min_lr": "min_learning_rate",
    "gradient_accumulation_steps": "accumulate grad_accum", "grad_clip": "clip max_grad_norm",
    "conversations": "sft messages", "eval_tokens": "eval_iters",
    "matmul_precision": "dtype bf16 fp16 precision",
    "n_layer": "num_layers num_hidden_layers", "n_embd": "d_model hidden_size",
    "n_head": "num_heads num_attention_heads", "eval_interval": "eval_steps save_steps save_every",
    "prompt": "p text input start", "prompt_file": "file f input_file prompts",
    "max_new_tokens": "max_tokens max_length n_predict length",
    "temperature": "greedy do_sample temp", "n": "num_samples num_return_sequences",
    "weights": "quantize quantization load_in_8bit load_in_4bit dtype precision bits",
    "json": "format", "system": "system_prompt system_message instructions",
    "train_fraction": "val_split validation_split test_split test_size val_size val_fraction",
    "init_from": "model from_pretrained pretrained model_name_or_path base_model base finetune "
                 "from checkpoint ckpt load m",
    "generate": "sample complete predict infer inference run pull download",
    "eval": "evaluate test perplexity", "train": "finetune fine_tune fit",
    "chat": "serve talk ask run", "look": "show view inspect visualize visualise plot microscope",
    "info": "summary params list ls models presets status show", "compare": "diff log logs history",
    "tokenize": "encode", "prepare": "encode preprocess",
    "export": "save convert quantize", "outtype": "format type quantize quantization gguf to",
}
OTHERWISE = {  # what other programs have, and this one in another way
    OF_OTHERS["init_from"] + " out_dir": "a model is named without a flag",
    "device gpu cuda n_gpu ngl n_gpu_layers": "everything runs on the CPU; leave it out",
    "threads n_threads num_threads workers num_workers":
        "the environment variable NUMBA_NUM_THREADS says how many threads",
    "resume continue resume_from_checkpoint": "npgpt train --resume goes on with the latest run",
    "val val_corpus val_data val_file eval_data eval_file valid_file validation_file test_file":
        "the end of the text is kept for validation; npgpt eval RUN FILE measures another text",
    "text prompt p": "it is written without a flag, behind the model",
    "force overwrite restart": "nothing is overwritten; name another place, or delete that one",
    "early_stopping patience": "the best weights are kept, and npgpt generate takes them",
    "wandb wandb_log tensorboard": "metrics.csv in the run has all numbers, and npgpt compare RUN "
                                   "RUN draws them",
    "lora peft freeze": "all weights are trained; leave it out",
    "encoding": "a text is UTF-8; save it so",
    "bench benchmark": "python -m benchmarks, in a clone",
    "decode detokenize": "in Python, npgpt.load_tokenizer(FILE).decode([1, 2]) does it",
    "stream no_stream": "a text is shown as it comes, and with --json at its end; leave it out",
    "o out output output_file": "what is printed goes to a file by > FILE",
    "save save_history": "/save FILE, typed in the talk, keeps it",
    "system system_prompt interactive i": "npgpt chat MODEL has it",
}


def nearest(name, names):
    """Return ": did you mean X?" for an unknown name that resembles a known one, else "".

    A name that other programs use leads to ours of the same meaning.

    >>> nearest("n_layers", ["n_layer", "n_head"])
    ': did you mean n_layer?'
    >>> nearest("--epochs", ["--eps", "--max-iters"])
    ': did you mean --max-iters?'
    """
    plain = {known.lstrip("-").replace("-", "_"): known for known in names}
    word = name.lstrip("-").replace("-", "_")
    word = "max_tokens" if name == "-n" else word  # of llama.cpp
    meant = [ours for ours, theirs in OF_OTHERS.items() if word in theirs.split()]
    near = [plain[ours] for ours in meant if ours in plain]
    otherwise = next((said for words, said in OTHERWISE.items() if word in words.split()), None)
    if otherwise and not near:
        return f": {otherwise}"
    near = near or [plain[word] for word in difflib.get_close_matches(word, plain, 1, 0.65)]
    return f": did you mean {' or '.join(near)}?" if near else ""
