"""Ordinary torch, a file for each style; importing a file puts its networks into ``corpus.SNIPPETS``."""
