#!/bin/sh
# Builds the npm package in web/dist and the page in www/dist:
#
#     sh scripts/build-web.sh && node scripts/serve-web.mjs
#
# LORB_KEEP_WASM=1 keeps the wasm modules in web/dist/wasm and builds the rest. Needs Node.js 20 or newer, and the
# requirements of scripts/build-wasm.sh.
set -eu
cd "$(dirname "$0")/.."

if [ -z "${LORB_KEEP_WASM:-}" ]; then
    sh scripts/build-wasm.sh
fi
for name in lorb lorb_tokenizer; do
    [ -f "web/dist/wasm/${name}_bg.wasm" ] || { echo "web/dist/wasm has no $name: unset LORB_KEEP_WASM" >&2; exit 1; }
done
if ! cmp -s web/package-lock.json web/node_modules/.built-from; then
    npm --prefix web ci --no-audit --no-fund >&2
    cp web/package-lock.json web/node_modules/.built-from
fi
npm --prefix web run --silent build
node www/build.mjs
node web/node_modules/typescript/bin/tsc -p www/tsconfig.json
echo "the package is in web/dist, the page in www/dist"
