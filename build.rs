//! Composes every variant of every kernel in `shaders/`, validates it, and generates the Rust that launches
//! need: workgroup size, buffers, parameters and constants of each variant, and which variant is which.

#[path = "build/axes.rs"]
mod axes;
#[path = "build/compose.rs"]
mod compose;
#[path = "build/emit.rs"]
mod emit;
#[path = "build/reflect.rs"]
mod reflect;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    match generate(Path::new("shaders")) {
        Ok(code) => fs::write(out.join("kernels.rs"), code).expect("OUT_DIR is writable"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

fn generate(shaders: &Path) -> Result<String, String> {
    let description = axes::Description::read(shaders)?;
    let mut files = compose::Files::new(shaders);
    let mut kernels = Vec::new();
    for (name, kernel) in description.kernels()? {
        let mut reflected = Vec::new();
        for variant in description.variants(name, kernel)? {
            let parts = files.parts(name, &variant)?;
            let source: String = parts.iter().map(|part| files.text(part)).collect();
            reflected.push(reflect::reflect(name, variant, parts, &source)?);
        }
        kernels.push(emit::Kernel { name, axes: &kernel.axes, variants: reflected });
    }
    files.every_kernel_is_described(&kernels)?;
    emit::emit(&files, &description, &kernels)
}
