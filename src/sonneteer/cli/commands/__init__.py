"""The commands, one function each. `cli/app.py` holds their table."""
