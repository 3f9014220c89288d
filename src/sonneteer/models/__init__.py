"""Models: open, render, compute as a forest, answer."""
