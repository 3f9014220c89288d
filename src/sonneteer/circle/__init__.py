"""The circle after deployment: people say what was good, drift shows, the model learns, a better one goes live."""
