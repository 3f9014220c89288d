"""Look for better settings: trials that are stopped early when hopeless, finalists with several seeds, and a report."""
