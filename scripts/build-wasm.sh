#!/bin/sh
# Builds the wasm modules of the npm package into web/dist/wasm, and prints their sizes: lorb.js, lorb.d.ts and lorb_bg.wasm,
# and the same files of lorb_tokenizer, which has the tokenizers of other kinds than BERT's own.
#
#     sh scripts/build-wasm.sh
#
# Needs rustup, wasm-bindgen in exactly the version of web/Cargo.toml, wasm-opt (binaryen 108 or newer) and brotli. The first
# build takes a while: burn's GPU runtime is large and is optimised as a whole.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^wasm-bindgen = "=\(.*\)"/\1/p' web/Cargo.toml)
found=$(wasm-bindgen --version 2> /dev/null | cut -d ' ' -f 2 || true)
if [ "$found" != "$version" ]; then
    echo "wasm-bindgen $version is required, found ${found:-none}: cargo install wasm-bindgen-cli --version $version" >&2
    exit 1
fi
for tool in wasm-opt brotli; do
    command -v "$tool" > /dev/null || { echo "$tool is required (Debian: binaryen, brotli)" >&2; exit 1; }
done

toolchain=$(sh scripts/setup-wasm.sh)
# RUSTFLAGS overrides the configuration in .cargo, and the CPU path needs its SIMD.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
# Panics name source files. Remove this machine's paths from them: they are private and make builds differ.
remap=
for registry in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    remap="$remap\"--remap-path-prefix=$registry/=\","
done
target=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT

# LLVM has inlined what is worth it. What wasm-opt inlines by default makes the module 7 % larger for brotli, because
# it moves code away from similar code. A second pass for size only saves another 0.7 %, and 7 % before compression; the
# CPU path in Node.js takes 1.02 times as long, which is within the noise. A third one saves 0.1 %.
optimise() {
    wasm-opt "$2" --always-inline-max-function-size=1 --flexible-inline-max-function-size=2 \
        --one-caller-inline-max-function-size=40 --enable-bulk-memory --enable-sign-ext --enable-mutable-globals \
        --enable-nontrapping-float-to-int --enable-reference-types --enable-multivalue --enable-simd --strip-debug \
        --strip-producers "$staged/$1_bg.wasm" -o "$staged/small.wasm"
    python3 scripts/fix_table_export.py "$staged/small.wasm"
    mv "$staged/small.wasm" "$staged/$1_bg.wasm"
}

# Builds the module of a crate under a name.
module() {
    cargo "+$toolchain" build --profile web -p "$1" --target wasm32-unknown-unknown \
        --config "target.wasm32-unknown-unknown.rustflags=[$remap]"
    built=$target/wasm32-unknown-unknown/web/$(echo "$1" | tr - _).wasm
    wasm-bindgen --target web --out-name "$2" --out-dir "$staged" "$built"
    # The documentation of the exports is in the .d.ts too, and is a fifth of what the .js has for brotli.
    sed -e '/^ *\/\*\*.*\*\/$/d' -e '/^ *\/\*\*/,/\*\/$/d' "$staged/$2.js" > "$staged/bare.js"
    mv "$staged/bare.js" "$staged/$2.js"
    optimise "$2" -Os
    optimise "$2" -Oz
    optimise "$2" -Oz
}
module lorb-tokenizer lorb_tokenizer
module lorb-web lorb
rm -rf web/dist/wasm
mkdir -p web/dist/wasm
for name in lorb lorb_tokenizer; do
    cp "$staged/$name.js" "$staged/$name.d.ts" "$staged/${name}_bg.wasm" web/dist/wasm/
done
# For the benchmark page; not part of the package.
newest=$(ls -t "$target"/wasm32-unknown-unknown/web/build/lorb-*/out/kernels.json | head -n 1)
cp "$newest" web/dist/wasm/kernels.json
python3 scripts/web_sizes.py
