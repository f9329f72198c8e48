#!/bin/sh
# Fuzzes the readers with libFuzzer, on the stable toolchain:
#
#     sh fuzz/run.sh SECONDS [TARGET...]
#
# Runs each target, or all of them one after the other, for that time, and prints executions and coverage (edges of the
# instrumented crates). Inputs with a finding are in fuzz/artifacts, and what was learnt in fuzz/corpus. Needs a C++
# compiler. The first build takes as long as that of LoRB.
set -eu
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(sed -n 's/^name = "\(.*\)"$/\1/p' Cargo.toml | tail -n +2)

(cd .. && cargo test --release --test fuzz -- --quiet --ignored write_the_corpora > /dev/null)
target=${CARGO_TARGET_DIR:-$PWD/target}
CARGO_TARGET_DIR=$target RUSTC_WRAPPER=$PWD/instrument.sh cargo build --release

mkdir -p artifacts
failed=
for name in "$@"; do
    mkdir -p "artifacts/$name"
    code=0
    "$target/release/$name" "corpus/$name" -max_total_time="$seconds" -rss_limit_mb=500 -max_len=200000 -timeout=10 \
        -artifact_prefix="artifacts/$name/" -print_final_stats=1 > "artifacts/$name.log" 2>&1 || code=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "artifacts/$name.log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "artifacts/$name.log" | tail -n 1)
    echo "$name: ${runs:-?} executions, ${edges:-?} edges, exit code $code"
    [ "$code" = 0 ] || failed="$failed $name"
done
[ -z "$failed" ] || {
    echo "findings in:$failed; see fuzz/artifacts"
    exit 1
}
