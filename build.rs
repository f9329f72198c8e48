//! Composes every variant of every kernel in `shaders/`, validates it, and writes down for the
//! launch code what the shader says of itself: workgroup size, buffers, parameters, constants.

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
    let mut files = compose::Files::new(shaders);
    let mut kernels = Vec::new();
    for (name, variants) in compose::variants(shaders)? {
        let mut reflected = Vec::new();
        for variant in variants {
            let parts = files.parts(&name, &variant)?;
            let source: String = parts.iter().map(|part| files.text(part)).collect();
            reflected.push(reflect::reflect(&name, variant, parts, &source)?);
        }
        kernels.push((name, reflected));
    }
    files.every_kernel_has_variants(&kernels)?;
    emit::emit(&files, &kernels)
}
