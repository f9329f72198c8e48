#!/bin/sh
# A wrapper of rustc for run.sh: adds the counters of libFuzzer to the crates that read files, and checks of overflow.
rustc=$1
shift
previous= name=
for word in "$@"; do
    [ "$previous" = --crate-name ] && name=$word
    previous=$word
done
case $name in
lorb | lorb_fuzz | safetensors | tokenizers)
    exec "$rustc" "$@" -Cdebug-assertions -Coverflow-checks -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*)
    exec "$rustc" "$@"
    ;;
esac
