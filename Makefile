# Everything goes through cargo; this file only spares typing, and installs what cargo can't.

SHELL := /bin/bash
DEMO_PACKAGES := -p zhongkong -p zhongkong-simulator -p zhongkong-demo
TARGET := $(or $(CARGO_TARGET_DIR),target)

# $(call need,program,package): installs a Debian package where its program is missing, and says so first.
define need
	@command -v $(1) >/dev/null || { \
	  command -v apt-get >/dev/null || { echo "$(1) is missing: please install $(2)"; exit 1; }; \
	  echo "$(1) is missing: installing $(2) with apt-get"; \
	  root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	  $$root apt-get update -qq && \
	  $$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(2); }
endef

.PHONY: help demo test bench check
help: ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

demo: ## Watch a cluster keep one token alive while workers die; ARGS=--keep leaves it running
	@command -v cargo >/dev/null || { echo "cargo is missing: see https://rustup.rs"; exit 1; }
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	@echo "Building (the first time takes a few minutes)"
	@cargo build --quiet --locked $(DEMO_PACKAGES)
	@$(TARGET)/debug/zhongkong-demo $(ARGS)

test: ## All tests, on a real Redis and a simulated upstream
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	cargo test --locked --workspace
	cargo test --locked -p zhongkong-redis --features test-clock

bench: ## What a refresh costs, beside something else; ONLY=token, ARGS=--json. A few minutes
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	cargo build --quiet --release --locked -p zhongkong-bench
	@$(TARGET)/release/zhongkong-bench $(ONLY) $(ARGS)

check: ## Formatting, lints, documentation and its examples
	$(call need,cc,gcc libc6-dev)
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
	cargo test --locked --workspace --doc
