//! Writes what compilers of GPUs get for every variant of every kernel, to inspect it or to compile it with other tools:
//!
//!     cargo run --release --example kernels -- DIRECTORY
//!
//! `wgsl/NAME.wgsl` is for wgpu's compiler, naga, `browser/NAME.wgsl` for browsers, and `spirv/NAME.spv` is what wgpu
//! gives a Vulkan driver (only on Linux).

#[cfg(target_os = "linux")]
#[path = "../../tests/gpu_compiler/spirv.rs"]
mod spirv;

use std::path::PathBuf;
use std::{env, fs, io};

use lorb::ops::wgsl::kernel::ALL;

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: kernels DIRECTORY"));
    };
    for folder in ["wgsl", "browser", "spirv"] {
        fs::create_dir_all(directory.join(folder))?;
    }
    for kernel in ALL {
        let file =
            |folder, extension| directory.join(folder).join(kernel.name).with_extension(extension);
        fs::write(file("wgsl", "wgsl"), kernel.source())?;
        fs::write(file("browser", "wgsl"), kernel.browser_source())?;
        #[cfg(target_os = "linux")]
        {
            let words = spirv::spirv(kernel);
            let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
            fs::write(file("spirv", "spv"), bytes)?;
        }
    }
    println!("{} variants in {}", ALL.len(), directory.display());
    Ok(())
}
