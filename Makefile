PYTHON ?= python3

demo test check bench serve:
	@$(PYTHON) dev.py $@

.PHONY: demo test check bench serve
