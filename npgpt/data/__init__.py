"""Texts and conversations to learn from: found, read, encoded, cut into two parts."""
