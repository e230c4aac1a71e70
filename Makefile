# What these hold reaches Python as it was typed, from the command line or the environment. `value` keeps make from
# expanding it ($(shell ...) and the like), and the recipes hand the shell a quoted variable, never its text.
VARIABLES := TASK PRESET SEED EPISODES LOGDIR METHOD TIME_LIMIT RUN ARGS EXTRA PYTHON
$(foreach name,$(VARIABLES),$(eval override $(name) := $$(value $(name))))
export $(VARIABLES)

PROGRAM := .venv/bin/python -m planet_jax

# Huge pages for the temporary arrays of a CPU, which glibc would otherwise clear page by page in every update.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

# Files go to the two workers in their order: by the number of their tests, as is usual, the few long ones would come last,
# and one worker would wait for the other. A third worker on two cores saved no time.
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder --durations 12

# The tests, and the processes that they start, compile each program once.
PYTEST := export JAX_COMPILATION_CACHE_DIR="$${JAX_COMPILATION_CACHE_DIR:-$$PWD/.cache/jax}" \
	JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 && exec .venv/bin/python -m pytest $(WORKERS)

.DEFAULT_GOAL := help
.PHONY: help setup doctor train evaluate smoke reproduce bench verify-device test test-faults test-all test-newest docs lint

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'PRESET, SEED, EPISODES, LOGDIR, METHOD and TIME_LIMIT (minutes) may follow; ARGS="..." holds further options.'
	@echo 'EXTRA=cuda12 or EXTRA=cuda13 installs JAX for NVIDIA GPUs; PYTHON=... names the interpreter.'

setup: ## make .venv with the tested packages; every other target does this first
	@.ci/setup

doctor: ## check whether this machine can train: make doctor TASK=walker_walk
	@.ci/setup
	@set -f; exec $(PROGRAM) doctor $${TASK:+"--task=$$TASK"} $${PRESET:+"--preset=$$PRESET"} \
		$${LOGDIR:+"--logdir=$$LOGDIR"} $$ARGS

# `exec`, so that signals reach Python; `set -f`, so that ARGS is split at blanks and nothing more.
train: ## train an agent, or continue: make train TASK=walker_walk
	@if [ -z "$$TASK" ]; then echo 'Name a task, as in: make train TASK=walker_walk' >&2; exit 2; fi
	@.ci/setup
	@set -f; exec $(PROGRAM) train "--task=$$TASK" $${PRESET:+"--preset=$$PRESET"} $${SEED:+"--seed=$$SEED"} \
		$${EPISODES:+"--episodes=$$EPISODES"} $${LOGDIR:+"--logdir=$$LOGDIR"} $${METHOD:+"--method=$$METHOD"} \
		$${TIME_LIMIT:+"--time-limit=$$TIME_LIMIT"} $$ARGS

evaluate: ## evaluate a trained agent: make evaluate RUN=logs/walker_walk/rssm-cpu/0
	@if [ -z "$$RUN" ]; then echo 'Name a run, as in: make evaluate RUN=logs/walker_walk/rssm-cpu/0' >&2; exit 2; fi
	@.ci/setup
	@set -f; exec $(PROGRAM) evaluate "--run=$$RUN" $${EPISODES:+"--episodes=$$EPISODES"} $$ARGS

smoke: setup ## a whole tiny run, in a temporary folder
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
		$(PROGRAM) train --task=cartpole_balance --preset=debug "--logdir=$$folder"

reproduce: ## train the shipped seeds again and compare: make reproduce TASK=cartpole_swingup
	@if [ -z "$$TASK" ]; then echo 'Name a task, as in: make reproduce TASK=cartpole_swingup' >&2; exit 2; fi
	@.ci/setup
	@set -f; exec .venv/bin/python -m experiments.reproduce "--task=$$TASK" $${PRESET:+"--preset=$$PRESET"} \
		$${LOGDIR:+"--logdir=$$LOGDIR"} $${TIME_LIMIT:+"--time-limit=$$TIME_LIMIT"} $$ARGS

# A cache of its own, empty, so that compilation is measured too.
bench: setup ## the benchmarks, with a table in LOGDIR/bench; ARGS goes to each of them
	@set -f; folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && export JAX_COMPILATION_CACHE_DIR="$$folder" && \
		out="$${LOGDIR:-logs}/bench" && for name in update operations variants planner collect render guards train growth; do \
			.venv/bin/python -m "experiments.bench.$$name" "--out=$$out" $$ARGS || exit; \
		done && .venv/bin/python -m experiments.bench.results "--out=$$out"

verify-device: setup ## verify the accelerator (or the CPU) in steps of a few minutes: tests, speeds, a short training
	@set -f; exec $(PROGRAM) verify $${TASK:+"--task=$$TASK"} $${PRESET:+"--preset=$$PRESET"} \
		$${LOGDIR:+"--out=$$LOGDIR/verify"} $$ARGS

test: setup ## the tests, except the slow ones
	@$(PYTEST) -m 'not slow and not faults'

test-faults: setup ## the large tests of faults
	@$(PYTEST) -m faults

test-all: setup ## all tests, compiled as users compile
	@export JAX_DISABLE_MOST_OPTIMIZATIONS=0; $(PYTEST)

# In a folder of its own, which is made anew: what is published today is what is tried. The newest JAX needs Python 3.12,
# and labmaze, which dm_control asks for, cannot be installed for 3.13.
test-newest: ## the tests with the newest versions of everything, without constraints.txt
	@if ! "$${PYTHON:-python3.12}" -c ''; then echo 'Name a Python, as in: make test-newest PYTHON=python3.12' >&2; exit 2; fi
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && "$${PYTHON:-python3.12}" -m venv "$$folder/venv" && \
		"$$folder/venv/bin/python" -m pip --disable-pip-version-check install -qq --upgrade -e '.[dev]' && \
		export JAX_COMPILATION_CACHE_DIR="$$folder/jax" JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 && set -f && \
		"$$folder/venv/bin/python" -m pytest $(WORKERS) -m 'not slow and not faults' $$ARGS

docs: setup ## the documentation as a site, in site/
	@.venv/bin/python -m mkdocs build --clean

lint: setup ## ruff, and mypy for types
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m mypy
