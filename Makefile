# Each target brings what it needs: see scripts/setup.sh.
.DEFAULT_GOAL := help
.PHONY: help demo demo-kafka demo-spark test check bench freshness queries dedup torture dashboard

ROUNDS ?= 200
kafka := $(CURDIR)/millstream-demo-kafka/kafka
spark := $(CURDIR)/millstream-demo-spark
target := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
python = PYTHONPATH=tests $(shell scripts/venv.sh)/bin/python

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

# A second demo would stop the servers of the first one at its end.
define not_running
if deploy/$(1)/$(1).sh status --dir "$(2)" >/dev/null 2>&1; then \
	echo "the servers of this demo run already: end that demo by Ctrl-C, or what it left by: deploy/$(1)/$(1).sh stop --dir $(2)" >&2; exit 2; fi
endef

demo: ## Build, then stream real taxi trips to a page in the browser
	@scripts/setup.sh rust dashboard
	@echo "==> building (the first time some minutes)" >&2
	@cargo build --package millstream
	@"$(target)/debug/millstream" demo $(ARGS)

# Ctrl-C ends the demo; the broker, which does not hear it, is stopped after it.
demo-kafka: ## The demo over Apache Kafka, which it starts on this machine
	@scripts/setup.sh rust dashboard kafka
	@echo "==> building (the first time some minutes)" >&2
	@cargo build --package millstream
	@$(call not_running,kafka,$(kafka))
	@trap : INT; trap 'deploy/kafka/kafka.sh stop --dir "$(kafka)"' EXIT; mkdir -p "$(kafka)"; \
	port=$$([ -f "$(kafka)/cluster" ] || bash -c 'exec 3<>/dev/tcp/127.0.0.1/9092' 2>/dev/null || echo "--port 9092"); \
	brokers=$$(deploy/kafka/kafka.sh start --dir "$(kafka)" $$port) && \
	echo "==> Kafka at $$brokers" >&2 && \
	"$(target)/debug/millstream" demo --kafka "$$brokers" --topic taxi --dir millstream-demo-kafka $(ARGS)

# As for `demo-kafka`.
demo-spark: ## The demo with Apache Spark and Apache Kafka, which it starts on this machine
	@scripts/setup.sh rust dashboard kafka spark
	@echo "==> building (the first time some minutes)" >&2
	@cargo build --package millstream
	@$(call not_running,kafka,$(spark)/kafka)
	@trap : INT; mkdir -p "$(spark)/kafka" "$(spark)/spark"; \
	trap 'deploy/spark/spark.sh stop --dir "$(spark)/spark"; deploy/kafka/kafka.sh stop --dir "$(spark)/kafka"' EXIT; \
	brokers=$$(deploy/kafka/kafka.sh start --dir "$(spark)/kafka") && \
	connect=$$(deploy/spark/spark.sh start --dir "$(spark)/spark") && \
	echo "==> Kafka at $$brokers, Spark at $$connect" >&2 && \
	"$(target)/debug/millstream" demo --spark "$$connect" --kafka "$$brokers" --dir millstream-demo-spark $(ARGS)

test: ## Run every test (ARGS=name… picks steps, ARGS=--list shows them)
	@scripts/setup.sh rust dashboard python strace browser kafka kcat spark
	@$(python) scripts/run_tests.py $(ARGS)

check: ## Format, lints and the fast tests
	@scripts/setup.sh rust dashboard python
	@$(python) scripts/run_tests.py --check

bench: ## End to end over 10 million rows, beside a plain copy (ARGS="--rows 1000000 --log kafka --engine spark")
	@scripts/setup.sh rust dashboard python kafka spark
	@echo "==> building the release (the first time many minutes)" >&2
	@cargo build --release --package millstream --bins --examples
	@$(python) benches/end_to_end.py $(ARGS)

freshness: ## From a file's landing to its rows in a query (ARGS="--seconds 20 --log kafka")
	@scripts/setup.sh rust dashboard python kafka
	@echo "==> building the release (the first time many minutes)" >&2
	@cargo build --release --package millstream
	@$(python) benches/freshness.py $(ARGS)

queries: ## Restart to first answer, events beside DuckDB, single rows and minutes (ARGS="--rows 1000000")
	@scripts/setup.sh rust dashboard python
	@echo "==> building the release (the first time many minutes)" >&2
	@cargo build --release --package millstream
	@$(python) benches/queries.py $(ARGS)

dedup: ## Rows with and without dedup over many keys, and the restart after it (ARGS="--rows 100000000")
	@scripts/setup.sh rust dashboard python
	@echo "==> building the release (the first time many minutes)" >&2
	@cargo build --release --package millstream
	@$(python) benches/dedup.py $(ARGS)

torture: ## Kill ROUNDS times (default 200), and a quarter of it in each of six ways with Kafka and Spark (ARGS=name… picks)
	@scripts/setup.sh rust dashboard python browser kafka spark
	@cargo build --package millstream
	@$(python) scripts/run_tests.py --torture --rounds $(ROUNDS) $(ARGS)

dashboard: ## Build the page
	@scripts/setup.sh dashboard
