# What this project can do, each by one command. `make` alone lists them.

CARGO ?= cargo
# Where `make install` puts things; DESTDIR is put before it, for packagers.
PREFIX ?= /usr/local
DESTDIR ?=
PROFILE ?= release

.PHONY: help usage bench deb demo deny fuzz guard guard-update install mutants package public-api recording release sbom semver simulate simulate-faults size soak uninstall usual-recipes test test-recipes test-slow torture fmt lint doc ci
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 17

demo: ## two apps on a private memcached, one of them cleared, then all flushed
	@scripts/demo

test: ## install what the unit, protocol, documentation and end-to-end tests need, and run them
	@scripts/test

test-recipes: ## the recipes by the real tools and the frameworks' own keys
	@scripts/test-recipes

test-slow: ## `make test` and `make test-recipes` as a slow and busy machine runs them, three times
	@scripts/test-slow

torture: ## hundreds of clears and flushes under load on each memcached, large ones, and what other clients feel of them
	@scripts/fetch-memcached
	$(CARGO) build --locked --release --example traffic
	BENCH_WRITE=yes $(CARGO) bench --locked --bench million
	$(CARGO) bench --locked --bench rounds

soak: ## clears, flushes and looks for ten minutes (SECONDS=600): memory, descriptors and results stay as they were
	@scripts/fetch-memcached
	$(CARGO) build --locked --release --example traffic
	$(CARGO) bench --locked --bench soak -- $(or $(SECONDS),600)

simulate: ## clears and flushes of a model server under faults, a run a seed (SEEDS=10000 FROM=1)
	@scripts/simulate $(or $(SEEDS),10000) $(or $(FROM),1)

simulate-faults: ## whether the simulation finds faults that are put into the engine on purpose
	@scripts/simulate-faults $(or $(SEEDS),2000)

bench: ## how fast a clear is beside the server's own limit, how it grows, what people use instead; codecs and client beside other crates
	@scripts/fetch-memcached
	@scripts/fetch-clients
	@bash -c 'set -eu; . scripts/lib.sh; need_command nc netcat-openbsd; need_command /usr/bin/time time; need_command strace strace'
	$(CARGO) build --locked --release --example traffic
	BENCH_WRITE=yes $(CARGO) bench --locked --bench clear --bench scale
	cd bench && BENCH_WRITE=yes $(CARGO) bench --locked
	BENCH_WRITE=yes scripts/usual-recipes
	BENCH_WRITE=yes scripts/size

guard: ## whether five jobs take more instructions, allocations, system calls or bytes than guard/figures.txt says, and the size
	@scripts/guard

guard-update: ## write guard/figures.txt anew
	@scripts/guard --update

recording: ## the README's picture of a clear, from a real run: docs/recording.svg
	@scripts/fetch-memcached
	$(CARGO) build --locked --release --bin mcflush
	$(CARGO) run --locked --release --example recording

deny: ## licences, sources and known vulnerabilities of what the crate depends on
	@scripts/deny

fuzz: ## fuzz each target for ten minutes (SECONDS=600)
	@scripts/fuzz $(or $(SECONDS),600)

mutants: ## whether the tests notice changes of the code, made one after the other (SHARD=0/40: every fortieth)
	@scripts/mutants $(SHARD)

install: ## binary, man page and completions, under DESTDIR/PREFIX (PREFIX=/usr/local)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' PROFILE='$(PROFILE)' scripts/install

uninstall: ## take away what `make install` put there
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install --remove

deb: ## a Debian package of the same, in target/debian
	@PROFILE='$(PROFILE)' scripts/deb

usage: ## docs/USAGE.md anew, from the program's own help
	$(CARGO) build --locked
	scripts/usage target/debug/mcflush >docs/USAGE.md

fmt: ## format the code
	$(CARGO) fmt --all

lint: ## rustfmt and clippy, warnings denied; spelling, workflows; whether the faults on purpose fit the code; each set of features built and tested by itself
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --all-targets --all-features -- -D warnings
	@scripts/lint-text
	git apply --check tests/simulation/faults.patch
	@scripts/features

size: ## what the program's code is for, by its symbols
	@scripts/size

release: ## the files of a release for one target, in target/dist (TARGET=x86_64-unknown-linux-musl)
	@scripts/release $(or $(TARGET),x86_64-unknown-linux-musl)

usual-recipes: ## what people use to empty a memcached, under reads: what it leaves, takes and says
	@scripts/fetch-memcached
	@scripts/usual-recipes

doc: ## the library's documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

semver: ## whether the library breaks what its last release promised (by cargo-semver-checks, which it installs)
	@command -v cargo-semver-checks >/dev/null || $(CARGO) install --locked cargo-semver-checks
	$(CARGO) semver-checks $(if $(BASELINE),--baseline-rev $(BASELINE))

public-api: ## every public item of the library, a line each (by cargo-public-api and a nightly Rust, which it installs)
	@command -v cargo-public-api >/dev/null || $(CARGO) install --locked cargo-public-api
	@rustup toolchain list | grep -q nightly || rustup toolchain install nightly --profile minimal
	$(CARGO) public-api --simplified $(if $(AGAINST),diff $(AGAINST))

sbom: ## what the binary is made of, as CycloneDX: target/mcflush.cdx.json (by cargo-cyclonedx, which it installs)
	@scripts/sbom

package: ## whether the crate could be published as it stands: cargo publish --dry-run
	$(CARGO) publish --locked --dry-run

ci: ## what CI runs
	.ci/run
