#!/bin/sh
# Measures LoRB on this machine's GPU, and PyTorch beside it, in at most nine minutes, and prints a report in Markdown.
#
#   sh benches/gpu_report.sh [--lorb PROGRAM] [--python PYTHON] [--output DIR] [--device gpu] [--shapes "minilm bert-base"]
#                            [--tokens 4096,...] [--rows 4096,...] [--seconds 1.0] [--total 540] [--parts "doctor floor ..."]
#
# It needs no network and no Rust: only the program (`cargo build --release`; PROGRAM is `lorb` by default), Python 3 for
# the report, and gpu_report.py and pytorch_step.py next to this file. PyTorch, Transformers and PEFT are optional.
#
# The most valuable parts come first. Each part has a time limit; a part that fails or takes too long does not stop the
# others, and the report says so. What each part printed stays in DIR (gpu-report by default). Do not touch the machine
# meanwhile, and leave its clocks as they are.
set -u

here=$(cd "$(dirname "$0")" && pwd)
lorb=lorb python=python3 output=gpu-report device=gpu shapes="minilm bert-base" seconds=1.0 total=540
tokens=4096,1024,512,16384 rows=4096,1024,256,16384,60,1226
parts="doctor floor tiles steps torch precision matrix launch burn predictions"
torch_device=auto

fail() {
    echo "gpu_report: $1" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value; the options are at the start of $0"
    case $1 in
        --lorb) lorb=$2 ;;
        --python) python=$2 ;;
        --output) output=$2 ;;
        --device) device=$2 ;;
        --shapes) shapes=$2 ;;
        --tokens) tokens=$2 ;;
        --rows) rows=$2 ;;
        --seconds) seconds=$2 ;;
        --total) total=$2 ;;
        --parts) parts=$2 ;;
        --torch-device) torch_device=$2 ;;
        *) fail "unknown option $1; the options are at the start of $0" ;;
    esac
    shift 2
done

case $total in '' | *[!0-9]*) fail "--total $total is not a number of seconds" ;; esac
command -v "$lorb" > /dev/null || fail "$lorb is not a program; give its path with --lorb"
# macOS has no timeout.
if command -v timeout > /dev/null; then
    limited() { limit=$1 && shift && timeout -k 5 "$limit" "$@"; }
elif command -v perl > /dev/null; then
    limited() { perl -e 'alarm shift; exec @ARGV' "$@"; }
else
    fail "neither timeout nor perl is installed, so nothing could stop a part that hangs"
fi

mkdir -p "$output" || fail "cannot make $output"
rm -f "$output"/*.out "$output"/*.err "$output/parts.tsv"
deadline=$(($(date +%s) + total))
first=${tokens%%,*}

# note NAME STATE SECONDS WHY: a line of the list of parts.
note() {
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >> "$output/parts.tsv"
    printf '%-24s %s %s\n' "$1" "$2" "$4" >&2
}

# part NAME LIMIT COMMAND...: runs a part for at most LIMIT seconds, or for what is left.
part() {
    name=$1 limit=$2
    shift 2
    start=$(date +%s)
    left=$((deadline - start))
    if [ $left -lt 3 ]; then
        note "$name" "NOT RUN" 0 "the time was up"
        return
    fi
    [ "$limit" -le $left ] || limit=$left
    limited "$limit" "$@" > "$output/$name.out" 2> "$output/$name.err"
    status=$?
    took=$(($(date +%s) - start))
    case $status in
        0) note "$name" ok $took "" ;;
        124 | 137 | 142) note "$name" stopped $took "after $limit s" ;;
        *) note "$name" failed $took "$(grep -v '^ *$' "$output/$name.err" | grep -E 'rror' | tail -n 1 | tr '\t' ' ' | cut -c 1-300)" ;;
    esac
}

# bench NAME LIMIT SHAPE ARGUMENTS...: lorb bench on all six linear layers, as PyTorch is measured too.
bench() {
    name=$1 limit=$2 shape=$3
    shift 3
    part "$name" "$limit" "$lorb" bench --device "$device" --shape "$shape" --seconds "$seconds" \
        --lora-target-modules all-linear --json --quiet "$@"
}

# Whether a part is wanted.
wanted() {
    case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

if command -v nvidia-smi > /dev/null; then
    part nvidia 10 nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv
fi
if wanted doctor; then part doctor 60 "$lorb" doctor --device "$device"; fi
if wanted floor; then bench floor 25 tiny --sweep floor; fi
if wanted tiles; then
    for shape in $shapes; do bench "tiles-$shape" 50 "$shape" --sweep tiles --sizes "$rows" --limit 40; done
fi
if wanted steps; then
    for shape in $shapes; do bench "steps-$shape" 60 "$shape" --sweep steps --sizes "$tokens" --limit 40; done
fi
if wanted torch; then
    if why=$(limited 60 "$python" -c 'import torch, transformers, peft' 2>&1); then
        for shape in $shapes; do
            part "torch-$shape" 60 "$python" "$here/pytorch_step.py" --shape "$shape" --tokens "$tokens" \
                --modes eager,sorted,compiled --seconds "$seconds" --torch-device "$torch_device" --limit 45 --json
        done
    else
        note torch "NOT RUN" 0 "$(echo "$why" | tail -n 1)"
    fi
fi
if wanted precision; then
    for shape in $shapes; do
        for precision in f16 int8 mixed; do
            bench "$precision-$shape" 20 "$shape" --sweep steps --sizes "$first" --precision $precision
        done
    done
fi
if wanted matrix; then
    for shape in $shapes; do
        bench "matrix-$shape" 20 "$shape" --sweep steps --sizes "$first" --cooperative-matrix --precision f16
    done
fi
if wanted launch; then
    for shape in $shapes; do bench "launch-$shape" 20 "$shape" --launch-only --tokens "$first"; done
fi
if wanted burn; then
    for shape in $shapes; do bench "burn-$shape" 40 "$shape" --tokens "$first"; done
fi
if wanted predictions; then
    for shape in $shapes; do bench "predictions-$shape" 30 "$shape" --sweep predictions --sizes "$tokens"; done
fi

if "$python" "$here/gpu_report.py" "$output" > "$output/report.md"; then
    cat "$output/report.md"
else
    echo "gpu_report: the report needs Python 3 ($python); what was measured is in $output" >&2
    exit 1
fi
