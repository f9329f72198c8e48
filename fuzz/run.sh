#!/bin/sh
# Fuzzes the readers with libFuzzer, on the stable toolchain:
#
#     sh fuzz/run.sh SECONDS [TARGET...]
#
# Runs each target, or all of them one after the other, for that processor time, and prints executions and coverage
# (edges of the instrumented crates). Inputs with a finding are in fuzz/artifacts, and what was learnt in fuzz/corpus.
# Needs Linux and a C++ compiler. The first build takes as long as that of LoRB.
set -eu
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- $(basename -s .rs targets/*.rs)

target=${CARGO_TARGET_DIR:-$PWD/target}
CARGO_TARGET_DIR=$target RUSTC_WRAPPER=$PWD/instrument.sh cargo build --release
"$target/release/corpora"

mkdir -p artifacts
failed=
for name in "$@"; do
    mkdir -p "artifacts/$name"
    "$target/release/$name" "corpus/$name" -rss_limit_mb=500 -max_len=200000 -timeout=10 \
        -artifact_prefix="artifacts/$name/" -print_final_stats=1 > "artifacts/$name.log" 2>&1 &
    fuzzer=$!
    while used=$(ps -o cputimes= -p $fuzzer); do
        # The fuzzer then prints its statistics and ends with code 0.
        [ "$used" -lt "$seconds" ] || kill -USR1 $fuzzer 2> /dev/null || true
        sleep 1
    done
    code=0
    wait $fuzzer || code=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "artifacts/$name.log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "artifacts/$name.log" | tail -n 1)
    echo "$name: ${runs:-?} executions, ${edges:-?} edges, exit code $code"
    [ "$code" = 0 ] || failed="$failed $name"
done
[ -z "$failed" ] || {
    echo "findings in:$failed; see fuzz/artifacts"
    exit 1
}
