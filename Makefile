# kabao: everything a newcomer, a developer and CI need. `make` alone lists it.
#
# `make run` and `make test` install by apt what is missing, and say what. All builds
# share one target folder and one profile, and RocksDB is compiled once (see .ci/rocksdb).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run test setup check unit judge bench fuzz clean

CACHE := $(or $(KABAO_CACHE),$(HOME)/.cache/kabao)
export KABAO_CACHE := $(CACHE)
export CARGO_TARGET_DIR ?= $(CACHE)/target
export ROCKSDB_STATIC := 1
KABAO := $(CARGO_TARGET_DIR)/debug/kabao
DATA ?= data

# Before each build: the one archive of RocksDB.
ROCKS = ROCKSDB_LIB_DIR=$$(.ci/rocksdb); export ROCKSDB_LIB_DIR

help: ## what there is
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /\1|/' | column -t -s '|'

run: setup ## install what is missing, build, start the service on a demo city in ./data
	@$(ROCKS)
	cargo build --locked --quiet
	exec $(KABAO) demo --dir $(DATA)

test: setup check unit judge ## everything CI runs

setup: ## install by apt what building and testing need, and say what
	@.ci/setup

check: setup ## formatting, lints, and that fuzz targets and benches still build
	@$(ROCKS)
	cargo fmt --check
	cargo clippy --locked --quiet --all-targets -- -D warnings
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	.ci/deny

unit: setup ## all tests of the program
	@$(ROCKS)
	cargo test --locked --quiet

judge: setup ## independent tools judge what a tour leaves behind
	@$(ROCKS)
	cargo build --locked --quiet
	.ci/judge/run $(KABAO)

bench: setup ## measure signing, verifying, issuing, redeeming, appending beside their parts
	@$(ROCKS)
	cargo bench --locked --bench main

fuzz: setup ## feed every parser of foreign bytes for a while: SECONDS_EACH=20
	@.ci/fuzz $${SECONDS_EACH:-20}

clean: ## remove what was built, but keep RocksDB
	@rm -rf "$(CARGO_TARGET_DIR)" .ci/judge/venv .ci/judge/node_modules fuzz/target fuzz/corpus fuzz/artifacts
