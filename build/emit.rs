//! Generates the Rust that launch code includes.

use std::fmt::Write;

use crate::axes::{Axis, Description};
use crate::compose::{Files, Part};
use crate::reflect::Reflected;

/// A kernel with its reflected variants.
pub struct Kernel<'a> {
    pub name: &'a str,
    /// Names of its axes.
    pub axes: &'a [String],
    pub variants: Vec<Reflected>,
}

pub fn emit(
    files: &Files,
    description: &Description,
    kernels: &[Kernel<'_>],
) -> Result<String, String> {
    let mut code = String::new();
    for (path, text) in files.texts() {
        writeln!(code, "const {}: &str = {text:?};", file_constant(path))
            .map_err(|e| e.to_string())?;
    }
    for (name, axis) in description.axes.iter().filter(|(_, axis)| axis.rust.is_none()) {
        code += &enumeration(name, axis);
    }
    for each in kernels {
        kernel(&mut code, description, each)?;
    }
    code += &interfaces(kernels);
    let all: Vec<String> = kernels
        .iter()
        .flat_map(|Kernel { name, variants, .. }| {
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

/// Names of the buffers and parameters of every kernel.
fn interfaces(kernels: &[Kernel<'_>]) -> String {
    let names =
        |all: &[(String, bool)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let each = kernels.iter().filter_map(|kernel| {
        let first = kernel.variants.first()?;
        let (buffers, params) = (names(&first.buffers), names(&first.params));
        let name = kernel.name;
        Some(format!(
            "    Interface {{ entry: {name:?}, buffers: &{buffers:?}, params: &{params:?} }},\n"
        ))
    });
    let each: String = each.collect();
    format!("/// What every kernel is given.\npub static INTERFACES: &[Interface] = &[\n{each}];\n")
}

/// The enum of an axis, with a function for each whole number that all its values have.
fn enumeration(name: &str, axis: &Axis) -> String {
    let variants: String =
        axis.values.iter().map(|v| format!("    /// {}\n    {},\n", v.doc, v.name)).collect();
    let names: Vec<String> = axis.values.iter().map(|v| format!("Self::{}", v.name)).collect();
    let mut functions = String::new();
    for setting in axis.values[0].settings.keys() {
        let of = |setting| axis.values.iter().map(move |v| v.settings.get(setting)?.as_u64());
        if let Some(numbers) = of(setting).collect::<Option<Vec<u64>>>() {
            let arms: String =
                names.iter().zip(numbers).map(|(n, v)| format!("{n} => {v},")).collect();
            functions += &format!(
                "    /// `{setting}` in `shaders/variants.json`.\n    #[must_use]\n    \
                 pub const fn {setting}(self) -> u32 {{ match self {{ {arms} }} }}\n"
            );
        }
    }
    format!(
        "/// {doc}\n#[derive(Clone, Copy, Debug, PartialEq, Eq)]\npub enum {name} {{\n{variants}}}\n\
         impl {name} {{\n    /// All of them.\n    pub const ALL: [Self; {count}] = [{all}];\n{functions}}}\n",
        doc = axis.doc,
        count = names.len(),
        all = names.join(", "),
    )
}

/// The function that finds a variant by the values of its axes. It returns an option where some combinations do
/// not exist.
fn lookup(description: &Description, kernel: &Kernel<'_>) -> String {
    let axes: Vec<(String, &Axis)> =
        kernel.axes.iter().map(|name| (name.clone(), &description.axes[name])).collect();
    let ty = |name: &str, axis: &Axis| match &axis.rust {
        Some(path) => path.clone(),
        None => format!("super::{name}"),
    };
    let list = |items: Vec<String>| items.join(", ");
    let tuple = |items: Vec<String>| match items.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", items.join(", ")),
    };
    let argument = |name: &str| {
        let mut snake = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.extend(letter.to_lowercase());
        }
        snake
    };
    let arguments =
        list(axes.iter().map(|(n, a)| format!("{}: {}", argument(n), ty(n, a))).collect());
    let combinations: usize = axes.iter().map(|(_, axis)| axis.values.len()).product();
    let total = combinations == kernel.variants.len();
    let some = |found: String| if total { found } else { format!("Some({found})") };
    let arms: String = kernel
        .variants
        .iter()
        .map(|v| {
            let pattern =
                axes.iter().zip(&v.variant.values).map(|((name, axis), value)| {
                    match axis.rust.as_deref() {
                        Some("bool") => value.clone(),
                        _ => format!("{}::{value}", ty(name, axis)),
                    }
                });
            format!("{} => {}, ", tuple(pattern.collect()), some(format!("&{}", static_name(v))))
        })
        .collect();
    let (result, rest) =
        if total { ("&'static Kernel", "") } else { ("Option<&'static Kernel>", "_ => None") };
    let body = match kernel.variants.as_slice() {
        [one] if axes.is_empty() => format!("&{}", static_name(one)),
        _ => {
            let values = tuple(axes.iter().map(|(name, _)| argument(name)).collect());
            format!("match {values} {{ {arms}{rest} }}")
        }
    };
    format!(
        "    /// The variant of these values{}.\n    #[must_use]\n    \
         pub fn variant({arguments}) -> {result} {{ {body} }}\n",
        if total { "" } else { ", if there is one" },
    )
}

fn kernel(code: &mut String, description: &Description, kernel: &Kernel<'_>) -> Result<(), String> {
    let Kernel { name, variants, .. } = kernel;
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
    let work = if is_product(first) {
        "\x20       fn work(&self) -> f64 { 2.0 * f64::from(self.rows) * f64::from(self.inputs) * f64::from(self.outputs) }\n"
    } else {
        ""
    };
    let written = list(first.buffers.iter().map(|(_, w)| w.to_string()).collect());
    let statics: String = variants.iter().map(|v| variant(name, v, &written)).collect();
    let variant = lookup(description, kernel);
    write!(
        code,
        "/// `shaders/{name}.wgsl`.\n\
         pub mod {name} {{\n    use super::{{Call, Kernel}};\n\
         {statics}{variant}\
         \x20   /// What a launch is given.\n    pub struct Arguments<'a, T> {{\n{buffer_fields}{param_fields}    }}\n\
         \x20   impl<'a, T> Call<'a, T> for Arguments<'a, T> {{\n\
         \x20       const NAME: &'static str = {name:?};\n\
         \x20       fn buffers(&self) -> Vec<&'a T> {{ vec![{buffers}] }}\n\
         \x20       fn words(&self) -> Vec<u32> {{ vec![{words}] }}\n{work}    }}\n}}\n"
    )
    .map_err(|e| e.to_string())
}

/// Whether a kernel is a matrix product of `rows` by `inputs` and `inputs` by `outputs`, or with these three in another
/// order: those with the tiles of products, or with their inputs and outputs.
fn is_product(v: &Reflected) -> bool {
    let has = |path: &str| v.parts.iter().any(|part| *part == Part::File(path.to_owned()));
    has("shared/product") || has("shared/linear_io")
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
        "    /// Variant `{name}`.\n    pub(super) static {constant}: Kernel = Kernel {{ name: {name:?}, entry: {kernel:?}, \
         workgroup: {workgroup:?}, written: &[{written}], constants: &{constants:?}, \
         extensions: &{extensions:?}, parts: &[{parts}] }};\n",
        name = v.variant.name,
        constant = static_name(v),
        workgroup = v.workgroup,
        constants = v.constants,
        extensions = v.extensions,
        parts = parts.join(", "),
    )
}

fn static_name(v: &Reflected) -> String {
    v.variant.name.to_uppercase()
}

fn file_constant(path: &str) -> String {
    format!("FILE_{}", path.replace('/', "_").to_uppercase())
}
