# `make demo` and `make test` do everything: the environment first, then the job.
# Needs Python 3.11 or 3.12 with venv; nothing is installed outside .venv.

VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Much of a test's time is waiting: for servers, for timed load, for an engine. Two at a time keep two processors busy.
WORKERS ?= 2
EXTRAS ?= all,dev

.PHONY: demo claims setup test lint bench figures clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo     set up $(VENV) and run the main job: slipway run mnist_cnn"
	@echo "make claims   set up $(VENV), measure every claim of the article (about 40 minutes; goes on where it was stopped)"
	@echo "              and write reports/claims/claims.html; claims about runs need reports: make demo"
	@echo "make setup    set up $(VENV), or add to it; EXTRAS=litert,tf-serving installs these and no more"
	@echo "make test     set up $(VENV) and run the linters, the type checker and the tests"
	@echo "make bench    measure the figures of README.md and docs/ (about four hours; writes benchmarks/results)"
	@echo "make figures  write the tables of README.md and docs/ from benchmarks/results"
	@echo "make clean    remove $(VENV); artifacts/ and reports/ stay"

demo: $(READY)
	$(BIN)/slipway run mnist_cnn

# The page is written even if an experiment failed: it says which, and why.
claims: $(READY)
	@status=0; $(BIN)/slipway claims run || status=$$?; $(BIN)/slipway claims report && exit $$status

test: lint
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python benchmarks/main_job.py
	$(BIN)/python benchmarks/tf_serving/run.py
	$(BIN)/python benchmarks/sessions.py
	$(BIN)/python benchmarks/real_models.py
	$(BIN)/python benchmarks/protocol_cost.py
	$(BIN)/python benchmarks/bodies.py
	$(BIN)/python benchmarks/web.py
	@if docker compose version >/dev/null 2>&1; then $(BIN)/python benchmarks/containers.py; \
	else echo "the containers are not measured: no Docker engine with compose answers" >&2; fi
	$(BIN)/python benchmarks/loadtest/run.py

figures: $(READY)
	$(BIN)/python benchmarks/figures.py

$(READY): pyproject.toml constraints.txt litert-torch.txt
	@$(MAKE) --no-print-directory setup
	@touch $@

# With the first Python that is new enough and not too new. PYTHON=... chooses another.
setup:
	@python=; for candidate in $(PYTHON) python3 python3.12 python3.11 python; do \
	  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; \
	  then python=$$candidate; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "slipway needs Python 3.11 or 3.12 with its venv module (Debian: python3-venv). None found." >&2; exit 1; fi; \
	echo "setting up $(VENV) with $$($$python --version); this downloads several frameworks and takes a few minutes"; \
	$$python -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	case ",$(EXTRAS)," in *,all,*|*,litert-torch,*) \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r litert-torch.txt;; esac

clean:
	rm -rf $(VENV)
