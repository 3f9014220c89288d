"""The watch room: what changed since the training, whether it is more than chance, and what to look at first."""
