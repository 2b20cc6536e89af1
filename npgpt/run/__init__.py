"""What a long run needs besides its loop: progress, a profile, a diagnosis, signals, and several
processes; `summary` is what it prints."""
