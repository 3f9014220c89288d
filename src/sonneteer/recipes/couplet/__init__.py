"""The recipe of the bundled base model, and the text that it was trained on."""
