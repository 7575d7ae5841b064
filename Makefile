# The project's commands; `make` alone lists them. Everything is built in the release profile, so
# that one target folder serves all of them and RocksDB is compiled once.

CARGO ?= cargo
# Never `-p`: with the whole workspace selected, all commands agree on the features of dependencies.
ARGS := --release --locked
TARGET := $(or $(CARGO_TARGET_DIR),target)
APP = $(TARGET)/release/geo-aggregation
# What the demo writes; each run begins anew.
DEMO = $(TARGET)/demo
# Tools that are not part of the toolchain are installed here once.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kstream/tools
CARGO_DENY_VERSION := 0.20.2
EXAMPLES = $(basename $(notdir $(wildcard topology-examples/examples/*.rs)))
# An access log for the demo, plain or gzip; without one a sample is generated.
LOG ?=
# Further flags for the demo, for chaos and for benches, for example FLAGS='--listen 0.0.0.0:8080'.
FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-demo demo test fmt lint unit doc deny examples conformance outage bench bench-task compile-time bench-restore chaos bench-recovery bench-memory

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## install or name the native packages for building and testing
	@tests/support/setup.sh all

setup-demo:
	@tests/support/setup.sh compile

demo: setup-demo ## an access log by country on a live page (LOG=access.log, else a sample)
	@$(CARGO) build $(ARGS) --bin geo-aggregation
	@mkdir -p $(DEMO) && rm -f $(DEMO)/totals.db*
ifeq ($(LOG),)
	@$(APP) sample > $(DEMO)/access.log
endif
	@GEO_DATABASE="$${GEO_DATABASE:-sqlite:$(DEMO)/totals.db}" \
		exec $(APP) all --log $(or $(LOG),$(DEMO)/access.log) $(FLAGS)

test: setup fmt lint unit doc deny examples conformance ## every gate, in this order

fmt: ## check the format (`cargo fmt` mends it)
	$(CARGO) fmt --all --check

lint: ## clippy on all targets, warnings denied
	$(CARGO) clippy $(ARGS) --all-targets -- -D warnings

unit: ## unit, driver, broker, page and documentation tests
	$(CARGO) test $(ARGS)

doc: ## documentation, warnings denied
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(ARGS) --no-deps

deny: $(TOOLS)/bin/cargo-deny ## licences, bans and sources of the dependencies
	$(TOOLS)/bin/cargo-deny --locked check licenses bans sources

$(TOOLS)/bin/cargo-deny:
	CARGO_TARGET_DIR=$(TOOLS)/target $(CARGO) install --quiet --locked --root $(TOOLS) \
		cargo-deny@$(CARGO_DENY_VERSION)
	rm -rf $(TOOLS)/target

examples: ## run every example
	@set -e; for name in $(EXAMPLES); do \
		echo "example $$name"; \
		$(CARGO) run $(ARGS) --quiet --example $$name; \
	done

conformance: ## compare with the recorded runs of Kafka Streams in $CONFORMANCE_VECTORS
	$(CARGO) run $(ARGS) --quiet --bin kstream-conformance

outage: ## all three brokers away for a minute, under load; `make test` has twenty seconds
	KSTREAM_OUTAGE_S=60 $(CARGO) test $(ARGS) --test kafka a_full_outage

bench: ## build the benchmark application; its usage says how it is called
	$(CARGO) build $(ARGS) --bin kstream-bench
	$(TARGET)/release/kstream-bench --help

bench-task: ## what a record costs in a task, on one core and without a broker
	$(CARGO) bench --locked --bench task

bench-restore: ## how fast stores are restored, and what running tasks keep of their thread meanwhile
	$(CARGO) bench --locked --bench restore

bench-recovery: ## from kill -9 to processing again, and Kafka Streams beside it (FLAGS='--state-mb 1024')
	$(CARGO) build $(ARGS) --bin recovery --bin kstream-bench
	$(TARGET)/release/recovery $(FLAGS)

bench-memory: ## an hour at full rate: flat resident memory within the budget (FLAGS='--duration-s 600')
	$(CARGO) build $(ARGS) --bin memory
	$(TARGET)/release/memory $(FLAGS)

chaos: ## faults on a real cluster, and what came out checked; minutes (FLAGS='--seed N', '--short')
	$(CARGO) build $(ARGS) --bin kstream-chaos --bin kstream-chaos-app
	$(TARGET)/release/kstream-chaos --dir $(TARGET)/chaos $(FLAGS)

compile-time: ## how long a topology of 20 operators takes in a warm debug build; the goal is under 10 s
	$(CARGO) build --locked --example twenty_operators
	touch tests/benchmarks/examples/twenty_operators.rs
	@start=$$(date +%s%N); $(CARGO) build --locked --quiet --example twenty_operators; \
		end=$$(date +%s%N); took=$$(( (end - start) / 1000000 )); \
		echo "a topology of 20 operators compiled in $$took ms"; test $$took -lt 10000
