# The only entry point. `make help` lists what there is.

# Build output stays outside the checkout, so that a fresh clone builds warm.
CACHE ?= $(HOME)/.cache/lyceum
export CARGO_TARGET_DIR ?= $(CACHE)/target
export CARGO_TERM_COLOR ?= never
FUZZ_SECONDS ?= 60
SIM = --manifest-path netsim/sim/Cargo.toml
SIM_CRATES = --package lyceum-sim --package futures-timer --package web-time
CRASH_KILLS ?= 200
CARGO_FUZZ = $(CACHE)/tools/bin/cargo-fuzz
NAME ?= smoke
# Installs what compiling needs, and lends RocksDB's library to the command, compiled once for this machine.
ROCKSDB = LYCEUM_CACHE="$(CACHE)" .ci/rocksdb

.PHONY: help build test testnet scenario sim calibrate crash bench fuzz fmt lint doc deny clean

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build:           ## the programs, optimised: lyceum and netsim
	@$(ROCKSDB) cargo build --release --locked --package lyceum-node --package lyceum-netsim

test: lint doc deny  ## every quick check: format, lints, documentation, tests
	@.ci/apt iproute2
	$(ROCKSDB) cargo test --workspace --quiet

# More of it: make testnet ARGS='--nodes 10 --for 5m'. It shares its build with `make test`: dependencies are optimised there, too.
testnet:         ## a local network of real nodes, live in the terminal
	@$(ROCKSDB) cargo build --workspace --locked --quiet
	@"$(CARGO_TARGET_DIR)/debug/netsim" up $(ARGS)

# The liars of one scenario are an example of the node's crate, which no other target builds.
scenario:        ## play NAME (smoke) on real nodes in network namespaces, as root: make scenario NAME=partition ARGS='--report /tmp/report'
	@.ci/apt iproute2
	@$(ROCKSDB) cargo build --workspace --locked --quiet --bins --example lyceum-liar
	@"$(CARGO_TARGET_DIR)/debug/netsim" run $(NAME) $(ARGS)

# A workspace of its own, whose tokio can stop its clock: what rests on tokio is compiled once more for it.
sim:             ## the simulator's lints and tests: whole networks in virtual time
	$(ROCKSDB) cargo clippy $(SIM) $(SIM_CRATES) --all-targets --locked --quiet -- -D warnings
	$(ROCKSDB) cargo test $(SIM) $(SIM_CRATES) --locked --quiet

calibrate:       ## ten real nodes beside ten simulated ones; needs root and /dev/net/tun
	@.ci/apt iproute2
	@$(ROCKSDB) cargo build --workspace --locked --quiet
	@$(ROCKSDB) cargo build $(SIM) --locked --quiet
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cd netsim/sim/scenarios && \
	    "$(CARGO_TARGET_DIR)/debug/netsim" run calibrate.toml --dir "$$dir/network" && \
	    "$(CARGO_TARGET_DIR)/debug/netsim-sim" calibrate.toml --compare "$$dir/network"

crash:           ## kill an importing process 200 times (CRASH_KILLS), and at every write point
	LYCEUM_CRASH_KILLS=$(CRASH_KILLS) $(ROCKSDB) cargo test --package lyceum-storage --lib --quiet -- --nocapture crash

bench:           ## the benches: ratios, each measured in one run
	$(ROCKSDB) cargo bench --workspace --quiet

# Without a sanitizer, so that the stable compiler will do: the targets' own checks, panics and limits are what is looked for.
fuzz: $(CARGO_FUZZ)  ## each fuzz target for FUZZ_SECONDS (60)
	@for target in $$("$(CARGO_FUZZ)" fuzz list); do \
	    mkdir -p "$(CACHE)/fuzz/$$target" fuzz/corpus/$$target; \
	    $(ROCKSDB) "$(CARGO_FUZZ)" fuzz run --sanitizer none $$target "$(CACHE)/fuzz/$$target" fuzz/corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 || exit 1; \
	done

$(CARGO_FUZZ):
	cargo install --quiet --locked --root "$(CACHE)/tools" cargo-fuzz@0.13.2

fmt:             ## format the code
	cargo fmt --all
	cargo fmt $(SIM) $(SIM_CRATES)

lint:
	cargo fmt --all --check
	cargo fmt $(SIM) $(SIM_CRATES) --check
	$(ROCKSDB) cargo clippy --workspace --all-targets --quiet -- -D warnings

doc:             ## the crates' documentation
	RUSTDOCFLAGS="-D warnings" $(ROCKSDB) cargo doc --workspace --no-deps --quiet

# Licences, sources and duplicates of what we depend on; it needs no network, so it runs wherever cargo-deny is installed.
deny:
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --offline --log-level error check licenses bans sources; \
	else echo "cargo-deny is not installed: licences and sources are not checked"; fi

clean:           ## delete the build output
	rm -rf "$(CARGO_TARGET_DIR)"
