# `make` alone lists the targets. The environment is .venv; it is made once, and again only when pyproject.toml changes.

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The first Python that is new enough; `make test PYTHON=/path/to/python` takes another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do "$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && { echo "$$p"; break; }; done)
# The first Python that torchtext's wheels are for.
PYTHON_TORCHTEXT ?= $(shell for p in python3.11 python3.12 python3; do "$$p" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
# `make test LOCKED=1` and `make demo LOCKED=1` install the versions of requirements/locked.txt, each file checked by its hash.
LOCKED ?=

.PHONY: help demo test fuzz faults bench check-slow check-long check-data parity-torchtext reviews-at-hand format lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo        train a CNN on 1,797 handwritten digits; needs no data"
	@echo "make test        lint, types, tests; needs no network once .venv is there"
	@echo "make fuzz        the readers of files on 20,000 damaged files each; LIT_MODELS_FUZZ sets another number"
	@echo "make check-slow  tests that take minutes"
	@echo "make check-long  tests that take two minutes and more each"
	@echo "make faults      try every fault for real, and write docs/reliability.md; an hour"
	@echo "make bench       our command line compared with other programs, a few minutes; python -m scripts.benchmark takes two hours"
	@echo "make check-data  tests on real MNIST and IMDB, in the folder LIT_MODELS_DATA"
	@echo "make parity-torchtext  our words and ids compared with torchtext 0.18's, in .venv-torchtext (made once, 5 GB)"
	@echo "make lock        update requirements/locked.txt to the newest versions that fit, with hashes"
	@echo "make format      sort imports, format the code"
	@echo "make clean       remove .venv, .venv-lock, .venv-torchtext, caches and builds; runs/ stays"
	@echo "demo and test make .venv first: some minutes and 6 GB, once. LOCKED=1 installs the versions of requirements/locked.txt."

demo: .venv/.installed
	$(BIN)/python -m lit_models fit --config configs/digits_cnn.yaml

# One thread a test process, as each core has a process of its own. The types are checked meanwhile; what mypy says comes
# last, and its status counts too.
test: .venv/.installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@echo "$(BIN)/mypy during the tests"; types=$$(mktemp); $(BIN)/mypy >"$$types" 2>&1 & \
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadgroup; tests=$$?; \
	wait $$!; status=$$?; cat "$$types"; rm -f "$$types"; [ $$tests -eq 0 ] && [ $$status -eq 0 ]

# Each fault for real; an hour on two cores.
faults: .venv/.installed-test
	$(BIN)/python -m scripts.faults

# A part of each epoch, to see that everything runs; the page is runs/benchmark.md.
bench: .venv/.installed-test
	$(BIN)/python -m scripts.benchmark --short

fuzz: .venv/.installed-test
	LIT_MODELS_FUZZ=$${LIT_MODELS_FUZZ:-20000} OMP_NUM_THREADS=1 $(BIN)/pytest -m fuzz --numprocesses=auto --maxprocesses=4

check-slow: .venv/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "slow and not long and not real_data and not gpu" --numprocesses=auto --maxprocesses=2 --dist=loadgroup

check-long: .venv/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "long" --numprocesses=auto --maxprocesses=2

check-data: .venv/.installed-test
	@[ -d "$$LIT_MODELS_DATA" ] || { echo "LIT_MODELS_DATA must name the folder that holds MNIST/raw and the IMDB archive" >&2; exit 1; }
	$(BIN)/pytest -m "real_data and not gpu"

parity-torchtext: reviews-at-hand .venv/.installed-test .venv-torchtext/.installed
	$(BIN)/pytest -m "not gpu" tests/parity/test_torchtext.py

# Before an environment is made: that takes minutes.
reviews-at-hand:
	@[ -d "$$LIT_MODELS_DATA" ] || { echo "LIT_MODELS_DATA must name the folder that holds the IMDB archive" >&2; exit 1; }

format: .venv/.installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf .venv .venv-lock .venv-torchtext dist build .hypothesis .pytest_cache .mypy_cache .ruff_cache
	find lit_models datamodules scripts tests -name __pycache__ -prune -exec rm -rf {} +

lock: .venv-lock/bin/uv
	.venv-lock/bin/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --universal --python-version 3.11 --extra test pyproject.toml --output-file requirements/locked.txt

.venv-lock/bin/uv:
	@"$(PYTHON)" -m venv --clear .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --disable-pip-version-check uv

.venv/.installed: pyproject.toml | .venv/bin/pip
	$(call install,.)
	@touch $@

.venv/.installed-test: pyproject.toml | .venv/bin/pip
	$(call install,.[test])
	@touch .venv/.installed $@

PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# One pip command, so that torch and torchvision are chosen as a pair.
define install
@echo "installing into .venv: some minutes the first time (torch is large)"
@$(if $(LOCKED),$(PIP_INSTALL) --require-hashes --requirement requirements/locked.txt)
@$(PIP_INSTALL) $(if $(LOCKED),--no-deps --no-build-isolation )--editable "$(1)"
endef

# The last release of torchtext, with the torch that it was built for; its wheels end at Python 3.12.
.venv-torchtext/.installed:
	@echo "installing torchtext 0.18 into .venv-torchtext: some minutes, once"
	@"$(PYTHON_TORCHTEXT)" -c '' 2>/dev/null || { echo "torchtext needs Python 3.11 or 3.12; name one: make parity-torchtext PYTHON_TORCHTEXT=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON_TORCHTEXT)" -m venv --clear .venv-torchtext
	@.venv-torchtext/bin/python -m pip install --quiet --disable-pip-version-check torch==2.3.1 torchtext==0.18.0 "numpy<2" portalocker
	@touch $@

# A half-made environment has no pip yet, and is made again.
.venv/bin/pip:
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module; install it (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .venv
