# Each target brings what it needs: see scripts/setup.sh.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench torture dashboard

ROUNDS ?= 200
target := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
python = PYTHONPATH=tests $(shell scripts/venv.sh)/bin/python

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: ## Build, then stream real taxi trips to a page in the browser
	@scripts/setup.sh rust dashboard
	@echo "==> building (the first time some minutes)" >&2
	@cargo build --package millstream
	@"$(target)/debug/millstream" demo $(ARGS)

test: ## Run every test (ARGS=name… picks steps, ARGS=--list shows them)
	@scripts/setup.sh rust dashboard python strace browser
	@$(python) scripts/run_tests.py $(ARGS)

check: ## Format, lints and the fast tests
	@scripts/setup.sh rust dashboard python
	@$(python) scripts/run_tests.py --check

bench: ## End to end over 10 million rows, beside a plain copy (ARGS="--rows 1000000")
	@scripts/setup.sh rust dashboard python
	@echo "==> building the release (the first time many minutes)" >&2
	@cargo build --release --package millstream --bins --examples
	@$(python) benches/end_to_end.py $(ARGS)

torture: ## Kill the program ROUNDS times (default 200) and compare what is archived
	@scripts/setup.sh rust dashboard python
	@cargo build --package millstream
	@$(python) tests/kill_test.py --rounds $(ROUNDS) $(ARGS)

dashboard: ## Build the page
	@scripts/setup.sh dashboard
