//! Validates and reflects a composed shader with naga.

use naga::front::wgsl::{Frontend, Options};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{
    AddressSpace, Expression, Literal, Module, Scalar, ScalarKind, StorageAccess, TypeInner,
};

use crate::compose::{Part, Variant};

/// Limits that every WebGPU device guarantees.
const STORAGE_BUFFERS: usize = 8;
const INVOCATIONS: u32 = 256;
const WORKGROUP_BYTES: u32 = 16 * 1024;

/// One variant of a kernel.
pub struct Reflected {
    pub variant: Variant,
    pub parts: Vec<Part>,
    pub workgroup: [u32; 3],
    /// Storage buffers by binding: name, and whether the kernel writes it.
    pub buffers: Vec<(String, bool)>,
    /// Fields of the uniform parameters in order: name, and whether it is an f32.
    pub params: Vec<(String, bool)>,
    /// Named u32 constants.
    pub constants: Vec<(String, u32)>,
    /// WGSL extensions that it needs in a browser.
    pub extensions: Vec<String>,
}

pub fn reflect(
    kernel: &str,
    variant: Variant,
    parts: Vec<Part>,
    source: &str,
) -> Result<Reflected, String> {
    let name = variant.name.clone();
    let fail = |what: String| format!("shaders/{kernel}.wgsl, variant {name}: {what}");
    // The launch code checks extensions; here all are enabled.
    let options = Options { capabilities: Capabilities::all(), ..Options::new() };
    let module = Frontend::new_with_options(options)
        .parse(source)
        .map_err(|e| fail(e.emit_to_string(source)))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::all())
        .validate(&module)
        .map_err(|e| fail(e.emit_to_string(source)))?;
    let mut extensions = variant.enable.clone();
    // naga has no line that enables them, but browsers require one.
    let without = Capabilities::all() - Capabilities::SUBGROUP - Capabilities::SUBGROUP_BARRIER;
    if Validator::new(ValidationFlags::all(), without).validate(&module).is_err() {
        extensions.push("subgroups".to_owned());
    }
    let [entry] = module.entry_points.as_slice() else {
        return Err(fail("a kernel has exactly one entry point".to_owned()));
    };
    if entry.name != kernel {
        return Err(fail(format!("the entry point is called {}", entry.name)));
    }
    let mut globals: Vec<_> = module
        .global_variables
        .iter()
        .filter_map(|(handle, global)| Some((global.binding?, handle, global)))
        .collect();
    globals.sort_by_key(|(binding, ..)| binding.binding);
    let (mut buffers, mut params) = (Vec::new(), None);
    for (place, (binding, handle, global)) in globals.into_iter().enumerate() {
        let variable = global.name.clone().unwrap_or_default();
        if binding.group != 0 || binding.binding as usize != place || params.is_some() {
            return Err(fail(format!(
                "binding of {variable}: group 0, counted from 0, the uniform last"
            )));
        }
        // An unused binding is dropped from the automatic layout, and the launch would fail.
        if info.get_entry_point(0)[handle].is_empty() {
            return Err(fail(format!("{variable} is bound but not used")));
        }
        match global.space {
            AddressSpace::Storage { access } => {
                buffers.push((variable, access.contains(StorageAccess::STORE)));
            }
            AddressSpace::Uniform => params = Some(fields(&module, global.ty).map_err(&fail)?),
            _ => return Err(fail(format!("{variable} is neither storage nor uniform"))),
        }
    }
    let memory: u32 = module
        .global_variables
        .iter()
        .filter(|(_, global)| global.space == AddressSpace::WorkGroup)
        .map(|(_, global)| module.types[global.ty].inner.size(module.to_ctx()))
        .sum();
    let workgroup = entry.workgroup_size;
    if buffers.len() > STORAGE_BUFFERS
        || workgroup.iter().product::<u32>() > INVOCATIONS
        || memory > WORKGROUP_BYTES
    {
        return Err(fail(format!(
            "{} storage buffers, a workgroup of {workgroup:?} and {memory} bytes exceed WebGPU's guaranteed limits",
            buffers.len()
        )));
    }
    let params = params.ok_or_else(|| fail("no uniform parameters".to_owned()))?;
    let constants = constants(&module);
    Ok(Reflected { variant, parts, workgroup, buffers, params, constants, extensions })
}

fn fields(module: &Module, ty: naga::Handle<naga::Type>) -> Result<Vec<(String, bool)>, String> {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else {
        return Err("the uniform is not a struct".to_owned());
    };
    members
        .iter()
        .map(|member| {
            let name = member.name.clone().unwrap_or_default();
            match module.types[member.ty].inner {
                TypeInner::Scalar(Scalar { kind: ScalarKind::Uint, width: 4 }) => Ok((name, false)),
                TypeInner::Scalar(Scalar { kind: ScalarKind::Float, width: 4 }) => Ok((name, true)),
                _ => Err(format!("parameter {name} is neither u32 nor f32")),
            }
        })
        .collect()
}

fn constants(module: &Module) -> Vec<(String, u32)> {
    let mut named: Vec<_> = module
        .constants
        .iter()
        .filter_map(|(_, constant)| match module.global_expressions[constant.init] {
            Expression::Literal(Literal::U32(value)) => Some((constant.name.clone()?, value)),
            _ => None,
        })
        .collect();
    named.sort();
    named
}
