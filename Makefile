# Everything goes through cargo; this file only spares typing, and installs what cargo can't.

SHELL := /bin/bash
DEMO_PACKAGES := -p zhongkong -p zhongkong-simulator -p zhongkong-demo
TARGET := $(or $(CARGO_TARGET_DIR),target)
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
# The instrumentation is unstable: of a nightly toolchain where there is one, else of the stable one, which has it too.
FUZZ = $(shell cargo +nightly --version >/dev/null 2>&1 && echo cargo +nightly || echo env RUSTC_BOOTSTRAP=1 cargo) fuzz
# An input that takes ten seconds, a gigabyte, or 64 MB in one piece, is a crash.
FUZZ_LIMITS := -max_len=16384 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64

# $(call need,program,package,check): installs a Debian package where its program is missing, or the check fails, and says
# so first.
define need
	@$(or $(3),command -v $(1)) >/dev/null 2>&1 || { \
	  command -v apt-get >/dev/null || { echo "$(1) is missing: please install $(2)"; exit 1; }; \
	  echo "$(1) is missing: installing $(2) with apt-get"; \
	  root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	  $$root apt-get update -qq && \
	  $$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(2); }
endef

# $(call need_cargo,program,flags): likewise for a tool that cargo installs, which takes it minutes.
define need_cargo
	@command -v $(1) >/dev/null || { echo "$(1) is missing: installing it with cargo"; cargo install --locked $(1) $(2); }
endef

.PHONY: help demo test test-sdks test-compose test-deploy model soak histories fuzz faults versions bench check audit licences sbom package
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

demo: ## Watch a cluster keep one token alive while workers die; ARGS=--keep leaves it running
	@command -v cargo >/dev/null || { echo "cargo is missing: see https://rustup.rs"; exit 1; }
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	@echo "Building (the first time takes a few minutes)"
	@cargo build --quiet --locked $(DEMO_PACKAGES)
	@$(TARGET)/debug/zhongkong-demo $(ARGS)

# Tests mostly wait for real time to pass: three times as many at once as there are cores.
test: ## All tests, on a real Redis and a simulated upstream; THREADS=4 at once
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	$(call need,ip,iproute2)
	$(call need,iptables,iptables)
	$(call need,chromium,chromium fonts-dejavu-core)
	$(call need,chromedriver,chromium-driver)
	$(call need,promtool,prometheus)
	$(call need,pip3,python3-pip)
	$(call need,Python's venv,python3-venv,python3 -c 'import ensurepip')
	RUST_TEST_THREADS=$(or $(THREADS),$(shell echo $$((3 * $$(nproc))))) cargo test --locked --workspace

# As root: a herd lives in a network of its own, where the platform's name leads to the simulator.
test-sdks: ## Services with real SDKs, on their own and beside zhongkong; ONLY="wechatpy-2.0", ARGS="--only with" (a quarter of an hour)
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	$(call need,ip,iproute2)
	$(call need,iptables,iptables)
	$(call need,pip3,python3-pip)
	$(call need,pkg-config,pkg-config libssl-dev)
	$(call need,PHP with Symfony's cache,php-cli php-redis php-symfony-cache php-psr-simple-cache,test -r /usr/share/php/Psr/SimpleCache/autoload.php -a -r /usr/share/php/Symfony/Component/Cache/autoload.php)
	cargo build --quiet --locked -p zhongkong-sdks
	@$(TARGET)/debug/zhongkong-sdks $(ONLY) --folder $(TARGET)/sdks $(ARGS)

# An engine, images and a network of its own. Nobody but root can start an engine; elsewhere it says what it skips.
test-compose: ## The cluster of docker-compose.yml on a Docker engine of its own, through faults (a quarter of an hour at first)
	@[ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || $(MAKE) --no-print-directory .containers
	@tests/compose/run

.PHONY: .containers
.containers:
	$(call need,dockerd,docker.io)
	$(call need,docker,docker.io)
	$(call need,iptables,iptables)
	$(call need,debootstrap,debootstrap)
	$(call need,curl,curl)

test-deploy: ## The Helm chart and the systemd unit: judged as a cluster would, and run; PARTS="chart" or "systemd" for one
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	$(call need,ip,iproute2)
	$(call need,curl,curl)
	$(call need,openssl,openssl)
	tests/deploy/run $(PARTS)

model: ## The protocol's model, more than ten million states of it; ARGS="--case R5" for one case
	cargo run --quiet --release --locked -p zhongkong-model -- --size large $(ARGS)

soak: ## So many simulated runs (SEEDS=1000) of a cluster's life, from seed FROM (0); ARGS=--story tells all of it
	cargo run --quiet --release --locked -p zhongkong-simulation -- --from $(or $(FROM),0) --seeds $(or $(SEEDS),1000) $(ARGS)

histories: ## So many random histories (N=10000) through the scripts on a real Redis, and through the core
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	ZHONGKONG_HISTORIES=$(or $(N),10000) cargo test --locked -p zhongkong-redis --test histories every_history -- --nocapture

fuzz: ## Every fuzz target, or TARGETS of them, for so many seconds each (SECONDS=60)
	$(call need,c++,g++)
	$(call need_cargo,cargo-fuzz)
	@for target in $(or $(TARGETS),$(FUZZ_TARGETS)); do \
	  mkdir -p fuzz/corpus/$$target; \
	  $(FUZZ) run $$target fuzz/corpus/$$target fuzz/seeds/$$target -- -dict=fuzz/dictionaries/$$target.dict \
	    -max_total_time=$(or $(SECONDS),60) $(FUZZ_LIMITS) || exit 1; \
	done

faults: ## Whole processes under every fault, for every upstream, and a long storm (a quarter of an hour)
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	$(call need,ip,iproute2)
	$(call need,iptables,iptables)
	ZHONGKONG_FAULTS=wide cargo test --locked -p zhongkong-tests --test it faults:: -- --nocapture

versions: ## What depends on the server, on Redis 7.0, newer Redis and Valkey, or ON some of them (ON="valkey-9.1")
	$(call need,redis-server,redis-server)
	$(call need,cc,gcc libc6-dev)
	$(call need,pip3,python3-pip)
	tests/versions/run $(ON)

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

# Advisories are another command, since their database is fetched and changes by itself: see deny.toml.
audit: ## The supply chain: licences, bans and sources of every dependency
	$(call need_cargo,cargo-deny)
	cargo deny --locked check bans licenses sources

# From the packages alone, so that it comes out the same wherever it is made.
licences: ## THIRD-PARTY.txt again: the licence texts of what is in the binary
	$(call need_cargo,cargo-about,--features cli)
	cargo fetch --quiet --locked
	cargo about generate --frozen --fail --manifest-path crates/server/Cargo.toml --output-file THIRD-PARTY.txt about.hbs

# The tool writes a file for each member of the workspace: one of them tells of the binary.
sbom: ## What is in the binary, as zhongkong.cdx.json in the target directory (CycloneDX)
	$(call need_cargo,cargo-cyclonedx)
	cargo cyclonedx --quiet --manifest-path crates/server/Cargo.toml --format json --spec-version 1.5 --override-filename zhongkong.cdx
	@mkdir -p $(TARGET) && mv crates/server/zhongkong.cdx.json $(TARGET)/ && find crates tests -name zhongkong.cdx.json -delete

package: ## What is published, packed and built as its users would get it, and not published
	$(call need,cc,gcc libc6-dev)
	cargo publish --dry-run --locked --workspace
