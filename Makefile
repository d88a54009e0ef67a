# Each target sets itself up from nothing: a virtual environment in .venv, made anew when setup.cfg changes.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/installed

.PHONY: search test clean

search: $(INSTALLED)
	$(VENV)/bin/nas run --config experiments/digits.yaml --output runs/digits

test: $(INSTALLED)
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest

$(INSTALLED): setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
