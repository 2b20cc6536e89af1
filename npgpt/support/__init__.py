"""What the core needs and no chapter explains: files, folders, progress, text, pictures."""
