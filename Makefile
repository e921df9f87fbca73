PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install demo test lint bench clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,bench]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage demo

demo: $(STAMP)
	$(BIN)/python examples/airfoil.py --out demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Two processes, one numerical thread each: as fast as the cores allow, and the same on every machine.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term

bench: $(STAMP)
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/two_stage.py
	$(BIN)/python benchmarks/local_minima.py
	$(BIN)/python benchmarks/energies.py
	$(BIN)/python benchmarks/diffusion.py
	$(BIN)/python benchmarks/anatomy.py
	$(BIN)/python benchmarks/kill.py
