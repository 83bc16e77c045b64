# `make run` starts a development server, `make test` runs every test. Both install what is missing
# first.
#
# There is one profile, release, so that RocksDB compiles once for everything.

SHELL := /bin/bash
# rustup's directory, for shells that have not been restarted since its installation.
export PATH := $(PATH):$(HOME)/.cargo/bin

# On CI the build output is kept outside the clone, so that the next run reuses it. Cargo compiles
# RocksDB again when the path of its compiler changes, and each clone may have another path.
# Therefore scripts/setup copies the compiler of .cargo/config.toml to this fixed path.
ifeq ($(CI),true)
export CARGO_TARGET_DIR ?= $(HOME)/.cache/talos/target
ifeq ($(origin CXX),default)
export CXX := $(HOME)/.cache/talos/rocksdb-cxx
endif
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)

# Cargo hides what build scripts print. scripts/rocksdb-cxx writes its progress to file descriptor
# 9.
cargo := PROGRESS_FD=9 9>&2 cargo

.PHONY: help setup setup-tests run release fleet test lint advisories bench bench-against instructions fuzz fleet-faults loadtest hostile peers sdk-python

help:
	@echo 'make run         start a development server on http://localhost:4420'
	@echo 'make release     build the program to ship, and its debug information, in $(TARGET)/ship'
	@echo 'make fleet       start a primary and two replicas on loopback'
	@echo 'make test        run every test'
	@echo 'make lint        check formatting, lints, and the licences of dependencies'
	@echo 'make advisories  look dependencies up in the database of known vulnerabilities'
	@echo 'make bench       run the micro-benchmarks and keep them as BASELINE (latest)'
	@echo 'make bench-against  run them again and compare with BASELINE'
	@echo 'make instructions  record how many instructions a proof hit takes'
	@echo 'make fleet-faults  break the network of a fleet, kill its replicas and replace its primary, many times'
	@echo 'make fuzz        run every fuzz target for FUZZ_SECONDS (60)'
	@echo 'make loadtest    start a server and measure verification under load'
	@echo 'make hostile     attack a server for HOSTILE_SECONDS (600) under valid load, with each driver, without and with admin tokens, and with TLS'
	@echo 'make peers       compare verification with nginx, Redis and PostgreSQL servers (installs them)'
	@echo 'make sdk-python  drive the server through the published Python client'
	@echo 'make setup       install what building needs and is missing; make setup-tests: and what testing'
	@echo '                 needs. All of the above do so, too'

setup:
	@scripts/setup

setup-tests:
	@scripts/setup tests

run: setup
	@$(cargo) build --release --package talos
	@exec "$(TARGET)/release/talos" serve --dev

release: setup
	@$(cargo) build --release --locked --package talos
	@scripts/split-debug "$(TARGET)/release/talos" "$(TARGET)/ship"
	@ls -l "$(TARGET)/ship"

fleet: setup
	@$(cargo) build --release --package talos
	@scripts/fleet

# The run of all tests comes last, so that its summary is the end of the output.
test: setup-tests
	$(cargo) test --quiet --release --workspace --doc
	cargo nextest run --release --package talos-cells --features shuttle
	cargo nextest run --release --workspace

# This is a part of `make test`.
sdk-python: setup-tests
	$(cargo) nextest run --release --package talos sdk::python

lint: setup-tests
	cargo fmt --all --check
	@scripts/lint-prose
	@scripts/lint-dependencies
	$(cargo) clippy --release --workspace --all-targets -- --deny warnings
	cargo clippy --release --package talos-cells --features shuttle --all-targets -- --deny warnings
	@scripts/lint-beside

# Needs the network: cargo-deny fetches the database from GitHub.
advisories: setup
	@scripts/advisories

# Criterion keeps the results under the name BASELINE. To compare two versions: `make bench
# BASELINE=before`, then `make bench-against BASELINE=before`.
BASELINE ?= latest
bench: setup
	$(cargo) bench --package talos-benches --benches -- --save-baseline $(BASELINE)

bench-against: setup
	$(cargo) bench --package talos-benches --benches -- --baseline $(BASELINE)

instructions: setup-tests
	TALOS_RECORD_INSTRUCTIONS=1 $(cargo) nextest run --release --package talos-benches --test instructions --no-capture

# `make test` does this too, with fewer repetitions.
fleet-faults: setup-tests
	FLEET_FAULTS=1 $(cargo) nextest run --release --package talos --no-capture fleet::faults

fuzz: setup-tests
	@scripts/fuzz

loadtest: setup
	@$(cargo) build --release --package talos --package talos-loadtest
	@"$(TARGET)/release/talos-loadtest"

# `make test` does a short part of this. Each of the six servers is attacked for so long.
HOSTILE_SECONDS ?= 600
hostile: setup
	@$(cargo) build --release --package talos --package talos-loadtest
	@for driver in io_uring epoll; do for kind in '' --auth --tls; do \
		echo "driver: $$driver $$kind"; \
		"$(TARGET)/release/talos-loadtest" hostile --driver $$driver $$kind --duration $(HOSTILE_SECONDS)s \
			--rate-floor 0.9 --json "$(TARGET)/hostile-$$driver$$kind.json" || exit 1; \
	done; done

peers: setup-tests
	@$(cargo) build --release --package talos
	@scripts/peers
