#!/bin/sh
# Regenerates the sample data: sentences, speech, recognition, N-best lists, then prints the WER tables.
#   samples/make/make.sh [OUTPUT_FOLDER]      (default: samples; some 40 CPU minutes)
# Programs: flite, sox. Python packages: requirements.txt. PYTHON, SEED, JOBS may be set.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/..}
python=${PYTHON:-python3}
seed=${SEED:-1}
jobs=${JOBS:-2}
for program in flite sox "$python"; do
    command -v "$program" >/dev/null || { echo "make.sh: $program is not installed" >&2; exit 1; }
done
text=$(mktemp -d)
trap 'rm -rf "$text"' EXIT
for domain in assistant dictation; do
    "$python" "$here/sentences.py" --grammar "$here/grammars/$domain.txt" --output "$text/$domain" --seed "$seed"
    for split in test dev train; do
        "$python" "$here/make_pocketsphinx.py" --input "$text/$domain/$split.tsv" --output "$out/$domain/$split.jsonl.gz" \
            --seed "$seed" --jobs "$jobs"
    done
done
for split in test dev train; do
    "$python" "$here/make_whisper.py" --input "$out/assistant/$split.jsonl.gz" "$out/dictation/$split.jsonl.gz" \
        --output "$out/whisper/$split.jsonl.gz" --seed "$seed" --jobs "$jobs"
done
"$python" "$here/check.py" "$out"
"$python" "$here/wer.py" "$out"/assistant/*.jsonl.gz "$out"/dictation/*.jsonl.gz
