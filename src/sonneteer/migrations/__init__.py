"""How the catalogue became what it is: one step a file, in order, applied when a workspace is opened."""
