"""What a long run needs besides its loop: progress, a profile, a diagnosis, signals, several
processes, and before the first step the compiled kernels; `summary` is what it prints."""
