#!/bin/sh
# Makes the target wasm32-unknown-unknown usable and prints, as its only line on standard output, the rustup toolchain
# to build it with:
#
#     cargo +"$(sh scripts/setup-wasm.sh)" check --release -p lorb-web --target wasm32-unknown-unknown
#
# rustup adds the target if it can. If it cannot download it (LORB_WASM_FROM_DEBIAN=1 simulates that), the script uses
# Debian's package rustc-web and its library sources. They have no wasm32 library, so the script builds it once, in about
# a minute, and links it into rustup as the toolchain "lorb-wasm". That needs root.
set -eu

target=wasm32-unknown-unknown
name=lorb-wasm
home=${XDG_DATA_HOME:-$HOME/.local/share}/$name

if [ -z "${LORB_WASM_FROM_DEBIAN:-}" ] && rustup target add "$target" >&2; then
    rustup show active-toolchain | cut -d ' ' -f 1
    exit
fi
if [ -e "$home/complete" ] && rustup toolchain list | grep -q "^$name"; then
    echo "$name"
    exit
fi

sources=/usr/lib/rustlib/src/rust/library
if [ ! -x /usr/bin/rustc ] || [ ! -d "$sources" ]; then
    { apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends rustc-web rust-web-src; } >&2
fi

lender=$(dirname "$(dirname "$(rustup which cargo)")")
host=$(/usr/bin/rustc -vV | sed -n 's/^host: //p')
rm -rf "$home"
mkdir -p "$home/bin" "$home/lib/rustlib/$target/lib"
# Compiler, host library and sources from Debian; cargo and the linker of the rustup toolchain.
ln -s "$lender/bin/cargo" "$home/bin/cargo"
mkdir -p "$home/lib/rustlib/$host"
ln -s "/usr/lib/rustlib/$host/lib" "$home/lib/rustlib/$host/lib"
ln -s "$lender/lib/rustlib/$host/bin" "$home/lib/rustlib/$host/bin"
ln -s /usr/lib/rustlib/src "$home/lib/rustlib/src"
printf '#!/bin/sh\nexec /usr/bin/rustc --sysroot "%s" "$@"\n' "$home" > "$home/bin/rustc"
chmod +x "$home/bin/rustc"

# An empty library: building it makes cargo build the standard library.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/src"
: > "$scratch/src/lib.rs"
cat > "$scratch/Cargo.toml" <<TOML
[package]
name = "empty"
version = "0.0.0"
edition = "2024"

[profile.release]
panic = "abort"

[workspace]
TOML
(
    cd "$scratch"
    unset CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER
    # build-std is unstable; RUSTC_BOOTSTRAP lets this one build use it.
    RUSTC_BOOTSTRAP=1 RUSTC="$home/bin/rustc" RUSTFLAGS="-C embed-bitcode=yes" CARGO_TARGET_DIR="$scratch/target" \
        "$home/bin/cargo" build --release --target "$target" -Z build-std=std,panic_abort
) >&2
for library in "$scratch/target/$target/release/deps"/*.rlib; do
    case $library in
        */libempty-*) ;;
        *) cp "$library" "$home/lib/rustlib/$target/lib/" ;;
    esac
done
rustup toolchain link "$name" "$home" >&2
: > "$home/complete"
echo "$name"
