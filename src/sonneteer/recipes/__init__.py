"""Ready-made recipes and the data that they bring along."""
