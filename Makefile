# Everything a working copy needs, with plain GNU make. `make help` lists it.

CARGO ?= cargo
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo build test lint fmt clippy doc deny lab captures explore bench bench-traffic bench-peers bench-small bench-live bench-saved spark-test parquet-test windows-test flood-test clean toolchain packages

# Tests of the lab need root. Only the test program gets it, not the compiler.
ifneq ($(shell id -u),0)
AS_ROOT = --config "target.'cfg(unix)'.runner='sudo -E'"
endif

help: ## This list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: build ## Build, then judge two recorded restores of real servers: one passes, one fails
	@echo
	@echo "1. A restore in which every step worked, captured at four places. Expected: PASS, exit status 0."
	$(call judge,0,--site captures/restore-clean.site.toml \
		captures/restore-clean.console.pcapng captures/restore-clean.mount-server.pcap \
		captures/restore-clean.target-windows.pcap captures/restore-clean.router.pcap)
	@echo
	@echo "2. The same restore, but a firewall drops the port that the target's endpoint mapper named."
	@echo "   One capture, taken at the console. Expected: FAIL with the cause and the next step, exit status 1."
	$(call judge,1,--site captures/site.toml --at console=captures/rpc-dynamic-dropped.console.pcapng)
	@echo
	@echo "Your own capture: portwitness site init CAPTURE -o site.toml drafts a site from it; check its roles, then"
	@echo "portwitness verify --site site.toml CAPTURE.  Before a restore: portwitness plan --site site.toml."

# Runs verify and holds its exit status against the expected one: $(call judge,STATUS,ARGUMENTS)
define judge
	@echo
	@echo "   $$ portwitness verify $(strip $(2))"
	@echo
	@status=0; $(CARGO) run --release --locked --quiet -- verify $(strip $(2)) || status=$$?; \
	echo; echo "   exit status $$status"; \
	[ "$$status" -eq $(1) ] || { echo "demo: expected exit status $(1)" >&2; exit 1; }
endef

build: toolchain ## Build the program (release)
	@$(CARGO) build --release --locked

test: toolchain packages ## Run all tests, the lab of real servers included; skipped ones are counted
	@mkdir -p target
	@{ status=0; $(CARGO) test --locked --no-fail-fast 2>&1 || status=$$?; echo "$$status" >target/test.status; } | tee target/test.log
	@echo "skipped: $$(grep -cE '(SKIP [a-z]+|skipped): ' target/test.log || true)"
	@exit "$$(cat target/test.status)"

lint: fmt clippy doc deny ## All checks that run no test

fmt: toolchain ## Formatting
	@$(CARGO) fmt --all --check

clippy: toolchain ## Lints of all targets; a warning fails
	@$(CARGO) clippy --locked --all-targets -- -D warnings

doc: toolchain ## Documentation; a warning fails
	@RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --no-deps

deny: toolchain ## Licences, versions and sources of dependencies (needs cargo-deny)
	@$(CARGO) deny --version >/dev/null 2>&1 || { \
		echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	@$(CARGO) deny check licenses bans sources

# CI=true: outside it a lab that cannot run is skipped, and here it was asked for.
lab: toolchain packages ## Only the tests with real servers; needs root
	@CI=true $(CARGO) test --locked $(AS_ROOT) --test lab

captures: toolchain packages ## Record captures/ anew from the lab; needs root
	@CI=true PORTWITNESS_LAB_RECORD=captures $(CARGO) test --locked $(AS_ROOT) --test lab

explore: toolchain ## Property tests with new random cases, several times over
	@for i in 1 2 3 4 5; do $(CARGO) test --locked --test flow_laws --test capture_segments --test decode_oracle || exit 1; done
	@PORTWITNESS_EXPLORE=1 $(CARGO) test --locked --test faults

bench: toolchain ## Time each stage in process: read, decode, flow, fold, evidence, judge, report (PACKETS, ROUNDS)
	@$(CARGO) bench --locked --bench traffic -- --out "$(CURDIR)/target/bench-stages" --packets $(or $(PACKETS),2000000) snap small scan
	@$(CARGO) bench --locked --bench stages -- --site benches/site.toml --rounds $(or $(ROUNDS),3) $(addprefix target/bench-stages/,snap.pcap small.pcap scan.pcap)

bench-traffic: toolchain ## Make the traffic of the benchmarks in target/bench (15 GB; PACKETS=2000000 for less)
	@$(CARGO) bench --locked --bench traffic -- --out "$(CURDIR)/target/bench" $(if $(PACKETS),--packets $(PACKETS)) $(SETS)

# Programs that are not installed are left out and named.
bench-peers: build bench-traffic ## Time portwitness beside tcpdump, nfpcapd and others (ROUNDS=5, SETS="snap scan")
	@python3 benches/peers.py --portwitness target/release/portwitness --sets target/bench --rounds $(or $(ROUNDS),5) $(SETS)

# One round on small sets: that the harness works and every set has its verdict; times mean nothing.
bench-small: build toolchain ## The benchmarks on very little traffic
	@$(CARGO) bench --locked --bench traffic -- --out "$(CURDIR)/target/bench-small" --packets 100000
	@python3 benches/peers.py --portwitness target/release/portwitness --sets target/bench-small --rounds 1 --tshark 2000

bench-saved: build toolchain ## Time verify on 1,000 saved observations of about 1,000 flows each (2 GB; ROUNDS=5, PACKETS=100000 for less)
	@$(CARGO) bench --locked --bench traffic -- --out "$(CURDIR)/target/bench" $(if $(PACKETS),--packets $(PACKETS)) brief
	@python3 benches/saved.py --portwitness target/release/portwitness --sets target/bench --rounds $(or $(ROUNDS),5)

# Needs root, for namespaces of its own.
bench-live: build packages ## What watching costs beside a transfer: nothing, tcpdump, libpcap, counting in the kernel (GIGABYTES=4)
	@$(if $(AS_ROOT),sudo) python3 benches/live.py --portwitness target/release/portwitness --gigabytes $(or $(GIGABYTES),4) --rounds $(or $(ROUNDS),3)

spark-test: build toolchain ## Observe, append and judge on Apache Spark, two local workers; installs pyspark into target/spark
	@$(CARGO) bench --locked --bench traffic -- --out "$(CURDIR)/target/bench-small" --packets 100000 rotated
	@sh contrib/spark/test.sh "$(CURDIR)/target/release/portwitness" "$(CURDIR)/target/bench-small/rotated"

flood-test: toolchain packages ## Flood a watched interface for two minutes; prints what the process takes; needs root
	@CI=true PORTWITNESS_FLOOD_SECS=60 $(CARGO) test --locked $(AS_ROOT) --test watch_live -- hostile::a_flood --nocapture --test-threads=1

# The program of this system says what the one for Windows has to say. Builds Rust's standard library once, too.
windows-test: toolchain ## Build for Windows and compare its reports with this system's, under Wine; installs what is missing
	@sh tests/windows/setup.sh
	@$(CARGO) build --locked
	@CARGO="$(CARGO)" sh tests/windows/run.sh "$(CURDIR)/target/debug/portwitness"

parquet-test: toolchain ## Parquet output held against the JSON by DuckDB; installs duckdb into target/duckdb
	@[ -x target/duckdb/bin/python3 ] || python3 -m venv target/duckdb
	@target/duckdb/bin/python3 -c 'import duckdb' 2>/dev/null || target/duckdb/bin/pip install --quiet duckdb==2.0.1
	@CI=true $(CARGO) test --locked --features parquet --test parquet

clean: ## Remove what was built
	@$(CARGO) clean

toolchain:
	@command -v $(CARGO) >/dev/null 2>&1 || { \
		echo "cargo is missing: install Rust 1.88 or newer (rustup, or your system's packages)" >&2; exit 1; }
	@echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null -lpcap >/dev/null 2>&1 || { \
		echo "to install, for linking and for live capture: gcc libc6-dev libpcap-dev"; \
		command -v apt-get >/dev/null 2>&1 || { echo "no apt-get here: install a C compiler and libpcap's development files by hand" >&2; exit 1; }; \
		[ "$${CI:-}" = true ] || { printf 'Install them now? [y/N] '; read -r answer; [ "$$answer" = y ]; } || exit 1; \
		root=; [ "$$(id -u)" -eq 0 ] || root=sudo; \
		$$root apt-get -q update && $$root apt-get -q install -y --no-install-recommends gcc libc6-dev libpcap-dev; }

# Says what it would install and asks first, unless CI is set. Without the packages the lab's tests are skipped.
packages:
	@sh tests/setup.sh || { [ "$${CI:-}" != true ] && echo "tests of the lab will be skipped"; }
