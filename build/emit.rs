//! The Rust that launch code includes.

use std::fmt::Write;

use crate::compose::{Files, Part};
use crate::reflect::Reflected;

pub fn emit(files: &Files, kernels: &[(String, Vec<Reflected>)]) -> Result<String, String> {
    let mut code = String::new();
    for (path, text) in files.texts() {
        writeln!(code, "const {}: &str = {text:?};", file_constant(path))
            .map_err(|e| e.to_string())?;
    }
    for (name, variants) in kernels {
        kernel(&mut code, name, variants)?;
    }
    let all: Vec<String> = kernels
        .iter()
        .flat_map(|(name, variants)| {
            variants.iter().map(move |v| format!("&{name}::{}", static_name(v)))
        })
        .collect();
    writeln!(
        code,
        "/// Every variant of every kernel.\npub static ALL: &[&Kernel] = &[{}];",
        all.join(", ")
    )
    .map_err(|e| e.to_string())?;
    Ok(code)
}

fn kernel(code: &mut String, name: &str, variants: &[Reflected]) -> Result<(), String> {
    let first = variants.first().ok_or_else(|| format!("{name}: no variant"))?;
    if let Some(other) =
        variants.iter().find(|v| v.buffers != first.buffers || v.params != first.params)
    {
        return Err(format!(
            "{}: other buffers or parameters than {}",
            other.variant.name, first.variant.name
        ));
    }
    let buffer_fields: String = first
        .buffers
        .iter()
        .map(|(n, written)| {
            let how = if *written { "Written." } else { "Read." };
            format!("        /// {how}\n        pub {n}: &'a T,\n")
        })
        .collect();
    let param_fields: String = first
        .params
        .iter()
        .map(|(n, float)| {
            format!(
                "        /// Uniform.\n        pub {n}: {},\n",
                if *float { "f32" } else { "u32" }
            )
        })
        .collect();
    let list = |items: Vec<String>| items.join(", ");
    let buffers = list(first.buffers.iter().map(|(n, _)| format!("self.{n}")).collect());
    let words = list(
        first
            .params
            .iter()
            .map(|(n, float)| format!("self.{n}{}", if *float { ".to_bits()" } else { "" }))
            .collect(),
    );
    let written = list(first.buffers.iter().map(|(_, w)| w.to_string()).collect());
    let statics: String = variants.iter().map(|v| variant(name, v, &written)).collect();
    write!(
        code,
        "/// `shaders/{name}.wgsl`.\n\
         pub mod {name} {{\n    use super::{{Call, Kernel}};\n\
         {statics}\
         \x20   /// What a launch is given.\n    pub struct Arguments<'a, T> {{\n{buffer_fields}{param_fields}    }}\n\
         \x20   impl<'a, T> Call<'a, T> for Arguments<'a, T> {{\n\
         \x20       const NAME: &'static str = {name:?};\n\
         \x20       fn buffers(&self) -> Vec<&'a T> {{ vec![{buffers}] }}\n\
         \x20       fn words(&self) -> Vec<u32> {{ vec![{words}] }}\n    }}\n}}\n"
    )
    .map_err(|e| e.to_string())
}

fn variant(kernel: &str, v: &Reflected, written: &str) -> String {
    let parts: Vec<String> = v
        .parts
        .iter()
        .map(|part| match part {
            Part::Head(text) => format!("{text:?}"),
            Part::File(path) => format!("super::{}", file_constant(path)),
        })
        .collect();
    format!(
        "    /// Variant `{name}`.\n    pub static {constant}: Kernel = Kernel {{ name: {name:?}, entry: {kernel:?}, \
         workgroup: {workgroup:?}, written: &[{written}], constants: &{constants:?}, parts: &[{parts}] }};\n",
        name = v.variant.name,
        constant = static_name(v),
        workgroup = v.workgroup,
        constants = v.constants,
        parts = parts.join(", "),
    )
}

fn static_name(v: &Reflected) -> String {
    v.variant.name.to_uppercase()
}

fn file_constant(path: &str) -> String {
    format!("FILE_{}", path.replace('/', "_").to_uppercase())
}
