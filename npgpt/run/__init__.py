"""What a long run needs besides its loop: progress, a profile, a diagnosis, signals, several
processes, and a word on what is compiled; `summary` is what it prints."""
