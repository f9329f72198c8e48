#!/bin/sh
# Exchanges adapters between LoRB and PEFT in both directions and compares their scores on all-MiniLM-L6-v2. Creates a
# Python environment with PyTorch, Transformers and PEFT once (6 GB, a few minutes), from tests/golden/requirements.txt.
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

echo "== LoRB's adapter in PEFT"
gzip -dc samples/assistant/train.jsonl.gz | head -n 80 > "$work/train.jsonl"
gzip -dc samples/assistant/dev.jsonl.gz | head -n 20 > "$work/dev.jsonl"
head -n 5 "$work/dev.jsonl" > "$work/few.jsonl"
for method in \
    "--lr 3e-3 --lora-target-modules query,value" \
    "--lr 3e-3 --lora-target-modules all-linear" \
    "--lr 3e-3 --method dora" \
    "--lr 5e-2 --method adalora" \
    "--lr 1e-2 --method prefix --prefix-length 7"
do
    rm -rf "$work/adapter"
    # Small batches and high learning rates, so that a few steps change the scores well above the tolerance.
    # shellcheck disable=SC2086 # The method is several words.
    lorb train --quiet --device cpu --model "$base" --train "$work/train.jsonl" --dev "$work/dev.jsonl" \
        --output "$work/adapter" $method --epochs 1 --batch-tokens 512 --evals-per-epoch 1 > /dev/null
    lorb rescore --quiet --device cpu --model "$base" --adapter "$work/adapter" "$work/few.jsonl" > "$work/rescored.jsonl"
    "$python" tests/golden/peft_lists.py scores "$work/rescored.jsonl" > "$work/scores.jsonl"
    "$python" tests/golden/peft_roundtrip.py check --base "$base" --adapter "$work/adapter" --scores "$work/scores.jsonl"
done

echo "== PEFT's adapter in LoRB"
number=0
for options in \
    "" \
    "--wrap --targets query value" \
    "--rslora --layers 1 4 --targets query output.dense" \
    "--pattern .*layer\.[0-3]\..*(key|intermediate\.dense)"
do
    number=$((number + 1))
    made=$work/peft-$number
    # The options are several words; none of them is a glob pattern.
    set -f
    # shellcheck disable=SC2086
    "$python" tests/golden/peft_roundtrip.py make --base "$base" --output "$made" --seed $number $options
    set +f
    "$python" tests/golden/peft_lists.py lists "$made/expected.jsonl" > "$work/lists.jsonl"
    lorb rescore --quiet --device cpu --model "$base" --adapter "$made" --beta 1 "$work/lists.jsonl" > "$work/rescored.jsonl"
    "$python" tests/golden/peft_lists.py compare "$made/expected.jsonl" "$work/rescored.jsonl"
done
