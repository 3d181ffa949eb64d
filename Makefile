# Leoma's validator. Two commands do everything on a fresh Debian or Ubuntu machine:
#   make demo   whole tournament rounds on embedded defaults, report in demo-out/report.json
#   make test   the test suite
# `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

# Outside the clone, so that a fresh clone builds warm.
LEOMA_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/leoma
export LEOMA_CACHE
export CARGO_TARGET_DIR ?= $(LEOMA_CACHE)/target
LEOMA := $(CARGO_TARGET_DIR)/debug/leoma
DEMO_ROUNDS ?= 2
# Milliseconds between blocks; miners have 60 blocks to answer. A slow machine needs more.
DEMO_BLOCK_MS ?= 1300

.PHONY: help demo test build setup lint bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## system packages and the Rust toolchain check
	@scripts/setup.sh

build: setup ## build the binary; its path is the last line
	@cargo build --locked --bins
	echo "$(LEOMA)"

demo: build ## whole rounds, end to end: chain, miners, scores, one winner paid
	@scripts/demo.sh "$(LEOMA)" "$(DEMO_ROUNDS)" "$(DEMO_BLOCK_MS)"

# Most stories wait for blocks or for other processes, not for a processor.
test: export RUST_TEST_THREADS ?= $(shell cores=$$(nproc); echo $$((cores > 4 ? cores : 4)))
test: ## the test suite (stories on real clips skip with a word where clips cannot be fetched)
	@scripts/setup.sh --tests
	scripts/fetch-assets.sh >/dev/null || echo "real clips or models could not be fetched: their tests are skipped"
	scripts/fetch-swiftshader.sh >/dev/null || echo "SwiftShader could not be fetched: kernels are compared on one software GPU only"
	scripts/fetch-official-sdk.sh >/dev/null || echo "the official Python SDK could not be fetched: the stories beside it are skipped"
	scripts/fetch-s3-server.sh >/dev/null || echo "the S3 server could not be built: the stories of object storage are skipped"
	cargo test --locked

lint: setup ## formatting and clippy
	@cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

bench: setup ## benchmarks of our own parts (scripts/bench-peers.sh: beside OpenCV, scikit-image and PyTorch)
	@cargo bench --locked --profile dev

clean: ## remove what the demo wrote (the build cache stays)
	@rm -rf demo-out
