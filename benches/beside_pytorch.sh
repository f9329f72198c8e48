#!/bin/sh
# Training and rescoring speed and peak memory of `lorb` and of a PyTorch + PEFT script, one after
# the other, on the same machine and lists.
#
#   benches/beside_pytorch.sh BASE TRAIN.jsonl.gz TEST.jsonl.gz PYTHON PEER.py [LISTS]
#
# BASE is a directory in the Hugging Face layout; PEER.py (yours; not in this repository) trains a LoRA rescorer
# (rank 8 on query and value, batches of 160 hypotheses) and prints `N hyps/s train`, `rescore N hyps/s` and
# `peak N MiB`. LISTS (default 400) is how many lists of each file are used, in one epoch.
set -eu
base=$1 train=$2 test=$3 python=$4 peer=$5 lists=${6:-400}
lorb=${LORB:-lorb}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for part in train test; do
  eval "file=\$$part"
  # head closes gzip's output early, which is not an error here.
  { gzip -dc "$file" 2>/dev/null || true; } | head -n "$lists" > "$work/$part.jsonl"
done

echo "PyTorch + PEFT, $lists lists"
HF_HUB_OFFLINE=1 "$python" "$peer" --base "$base" --train "$work/train.jsonl" --dev "$work/test.jsonl" \
  --test "$work/test.jsonl" --r 8 --alpha 16 --targets query,value --lr 1e-3 --epochs 1 2>/dev/null |
  grep -E 'hyps/s|peak'

echo "LoRB, the same lists, --device cpu"
/usr/bin/time -f 'peak %M KiB' "$lorb" train --model "$base" --train "$work/train.jsonl" --output "$work/adapter" \
  --lr 1e-3 --epochs 1 --batch-tokens 4096 --device cpu --log-json "$work/log.jsonl" 2> "$work/train.err"
grep -E '^peak|hypotheses/s' "$work/train.err"
/usr/bin/time -f 'peak %M KiB' "$lorb" rescore --model "$base" --adapter "$work/adapter" --device cpu \
  -o "$work/out.jsonl" "$work/test.jsonl" 2> "$work/rescore.err"
grep -E '^peak|/s' "$work/rescore.err" | tail -n 2
