//! Composes every variant of every kernel in `shaders/`, validates it, and generates the Rust code for
//! launches: workgroup size, buffers, parameters and constants of each variant, and how to select a variant.
//! Also generates the struct and the table of the training settings.

#[path = "build/axes.rs"]
mod axes;
#[path = "build/compose.rs"]
mod compose;
#[path = "build/describe.rs"]
mod describe;
#[path = "build/emit.rs"]
mod emit;
#[path = "build/reflect.rs"]
mod reflect;
#[path = "build/settings.rs"]
mod settings;

use std::path::{Path, PathBuf};
use std::{env, fs};

/// The training settings.
const SETTINGS: &str = "src/train/settings.json";

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    println!("cargo::rerun-if-changed={SETTINGS}");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    let target = |key| env::var(key).unwrap_or_default();
    if target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu" {
        // At a fixed address, the program needs no table of relocations, an eighth of its size. Libraries, heap and stack
        // still have random addresses.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
    let browser = target("CARGO_CFG_TARGET_FAMILY") == "wasm";
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let kernels = generate(Path::new("shaders"), browser, &out.join("kernels.json"));
    write(&out.join("kernels.rs"), kernels);
    write(&out.join("settings.rs"), settings::generate(Path::new(SETTINGS)));
}

/// Writes generated code, or ends the build with an error.
fn write(path: &Path, code: Result<String, String>) {
    match code {
        Ok(code) => fs::write(path, code).expect("OUT_DIR is writable"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

/// The Rust code; the same for the benchmark page goes to `described`.
fn generate(shaders: &Path, browser: bool, described: &Path) -> Result<String, String> {
    let description = axes::Description::read(shaders, browser)?;
    let mut files = compose::Files::new(shaders);
    let mut kernels = Vec::new();
    let all = description.kernels()?;
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    files.every_kernel_is_described(&names)?;
    for (name, kernel) in all.into_iter().filter(|(_, kernel)| description.built(kernel)) {
        let mut reflected = Vec::new();
        for variant in description.variants(name, kernel)? {
            let parts = files.parts(name, &variant)?;
            let source: String = parts.iter().map(|part| files.text(part)).collect();
            reflected.push(reflect::reflect(name, variant, parts, &source)?);
        }
        kernels.push(emit::Kernel { name, axes: &kernel.axes, variants: reflected });
    }
    write(described, Ok(describe::describe(&files, &kernels)));
    emit::emit(&files, &description, &kernels)
}
