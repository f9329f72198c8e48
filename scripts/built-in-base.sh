#!/bin/sh
# Makes the built-in base again, in built-in/:
#
#     sh scripts/built-in-base.sh [WORK]        WORK: folder for what is in between, a new one by default
#
# Needs a release build of lorb with any built-in base (cargo build --release), Python 3, and a Debian system, from whose
# archive WordNet comes. Takes 20 to 40 minutes on two cores. The run can be stopped and started again with the same WORK.
set -eu
cd "$(dirname "$0")/.."
work=${1:-$(mktemp -d)}
mkdir -p "$work"
work=$(cd "$work" && pwd)
minilm=${LORB_MINILM:-$(sh scripts/fetch-minilm.sh)}
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
lorb=$target/release/lorb

if [ ! -f "$work/sentences.txt" ]; then
    (cd "$work" && apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb wordnet)
    python3 scripts/wordnet_text.py "$work/wordnet/usr/share/wordnet" > "$work/sentences.part"
    mv "$work/sentences.part" "$work/sentences.txt"
fi
if [ ! -f "$work/student/model.safetensors" ]; then
    resume=
    [ ! -f "$work/student/checkpoint.safetensors" ] || resume=--resume
    "$lorb" distill --device cpu --teacher "$minilm" --text "$work/sentences.txt" --layers 3 --vocabulary 8000 \
        --positions 128 --lr 4e-4 --batch-tokens 1024 --evals-per-epoch 8 --output "$work/student" $resume
fi
"$lorb" export --model "$work/student" --precision int4 --output "$work/int4" --overwrite
for file in config.json tokenizer.json tokenizer_config.json model.safetensors; do
    cp "$work/int4/$file" built-in/
done
