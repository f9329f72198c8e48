#!/bin/sh
# Exchanges adapters between LoRB and PEFT in both directions and compares their scores on all-MiniLM-L6-v2 and on the
# small bases of the other architectures in the golden files. Creates a Python environment with PyTorch, Transformers and PEFT once (6 GB, a few
# minutes), from tests/golden/requirements.txt.
set -eu
cd "$(dirname "$0")/.."

venv=${XDG_CACHE_HOME:-$HOME/.cache}/lorb/golden-venv
python=$venv/bin/python
wanted=tests/golden/requirements.txt
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
fi
"$python" -c 'import torch, transformers, peft, safetensors, numpy'

base=${LORB_MINILM:-$(sh scripts/fetch-minilm.sh)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error TQDM_DISABLE=1 PYTHONWARNINGS=ignore
lorb() {
    cargo run --release --quiet -- "$@"
}

gzip -dc samples/assistant/train.jsonl.gz | head -n 80 > "$work/train.jsonl"
gzip -dc samples/assistant/dev.jsonl.gz | head -n 20 > "$work/dev.jsonl"
head -n 5 "$work/dev.jsonl" > "$work/few.jsonl"

# LoRB's adapter in PEFT: to_peft BASE OPTION...
to_peft() {
    in=$1
    shift
    rm -rf "$work/adapter"
    # Small batches and high learning rates, so that a few steps change the scores well above the tolerance.
    lorb train --quiet --device cpu --model "$in" --train "$work/train.jsonl" --dev "$work/dev.jsonl" \
        --output "$work/adapter" "$@" --epochs 1 --batch-tokens 512 --evals-per-epoch 1 > /dev/null
    lorb rescore --quiet --device cpu --model "$in" --adapter "$work/adapter" "$work/few.jsonl" > "$work/rescored.jsonl"
    "$python" tests/golden/peft_lists.py scores "$work/rescored.jsonl" > "$work/scores.jsonl"
    "$python" tests/golden/peft_roundtrip.py check --base "$in" --adapter "$work/adapter" --scores "$work/scores.jsonl"
}

# PEFT's adapter in LoRB: from_peft BASE OPTION...
number=0
from_peft() {
    in=$1
    shift
    number=$((number + 1))
    made=$work/peft-$number
    "$python" tests/golden/peft_roundtrip.py make --base "$in" --output "$made" --seed $number "$@"
    "$python" tests/golden/peft_lists.py lists "$made/expected.jsonl" > "$work/lists.jsonl"
    lorb rescore --quiet --device cpu --model "$in" --adapter "$made" --beta 1 "$work/lists.jsonl" > "$work/rescored.jsonl"
    "$python" tests/golden/peft_lists.py compare "$made/expected.jsonl" "$work/rescored.jsonl"
}

echo "== BERT: LoRB's adapter in PEFT"
to_peft "$base" --lr 3e-3 --lora-target-modules query,value
to_peft "$base" --lr 3e-3 --lora-target-modules all-linear
to_peft "$base" --lr 3e-3 --method dora
to_peft "$base" --lr 5e-2 --method adalora
to_peft "$base" --lr 1e-2 --method prefix --prefix-length 7

echo "== BERT: PEFT's adapter in LoRB"
from_peft "$base"
from_peft "$base" --wrap --targets query value
from_peft "$base" --rslora --layers 1 4 --targets query output.dense
from_peft "$base" --pattern '.*layer\.[0-3]\..*(key|intermediate\.dense)'

for base in electra roberta; do
    small=tests/golden/$base
    echo "== $base: LoRB's adapter in PEFT"
    to_peft "$small" --lr 1e-2 --lora-target-modules query,value
    to_peft "$small" --lr 1e-2 --lora-target-modules all-linear
    to_peft "$small" --lr 5e-2 --method adalora
    to_peft "$small" --lr 5e-2 --method prefix --prefix-length 3
    echo "== $base: PEFT's adapter in LoRB"
    from_peft "$small"
    from_peft "$small" --wrap --targets query value
done

modern=tests/golden/modernbert
echo "== ModernBERT: LoRB's adapter in PEFT"
to_peft "$modern" --lr 1e-2
to_peft "$modern" --lr 1e-2 --lora-target-modules all-linear --lora-layers 1,3
to_peft "$modern" --lr 1e-2 --method dora
to_peft "$modern" --lr 5e-2 --method adalora
echo "== ModernBERT: PEFT's adapter in LoRB"
from_peft "$modern"
from_peft "$modern" --wrap --targets Wqkv Wo

distil=tests/golden/distil
echo "== DistilBERT: LoRB's adapter in PEFT"
to_peft "$distil" --lr 1e-2 --lora-target-modules query,value
to_peft "$distil" --lr 1e-2 --lora-target-modules all-linear
to_peft "$distil" --lr 1e-2 --method dora
to_peft "$distil" --lr 5e-2 --method adalora

echo "== DistilBERT: PEFT's adapter in LoRB"
from_peft "$distil"
from_peft "$distil" --wrap --targets q_lin v_lin
from_peft "$distil" --rslora --layers 1 --targets k_lin ffn.lin2
from_peft "$distil" --pattern '.*layer\.[01]\..*(v_lin|lin1)'
