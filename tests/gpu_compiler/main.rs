//! The kernels as the compiler of a real GPU sees them: registers, spills, workgroup memory and occupancy of every
//! variant, compared with `budget.json`. Mesa's RADV compiles for AMD GPUs that are not in the machine. To print the
//! table:
//!
//!     cargo test --release --test gpu_compiler -- --nocapture

mod budget;
#[path = "../common/gpu.rs"]
mod gpu;
#[cfg(target_os = "linux")]
mod radv;
#[cfg(target_os = "linux")]
mod spirv;

#[cfg(not(target_os = "linux"))]
#[test]
fn kernels_stay_within_their_budget() {
    gpu::not_run("Mesa's RADV is only on Linux");
}

#[cfg(target_os = "linux")]
#[test]
fn kernels_stay_within_their_budget() {
    use budget::{Budget, Measured, listed, matches};
    use lorb::ops::wgsl::kernel::ALL;

    let budget = Budget::read();
    for pattern in [&budget.no_goal, &budget.not_compiled].into_iter().flat_map(|all| all.keys()) {
        assert!(ALL.iter().any(|kernel| matches(pattern, kernel.name)), "no variant is {pattern}");
    }
    let mut measured = Measured::new();
    let mut version = String::new();
    for family in budget.families.keys() {
        let Some(compiler) = radv::Compiler::open(family) else {
            return gpu::not_run("no RADV, Mesa's driver for AMD GPUs");
        };
        version.clone_from(&compiler.version);
        for kernel in ALL {
            let name = kernel.name;
            if listed(&budget.not_compiled, name) {
                // Else the list is out of date.
                assert!(!compiler.supports(kernel), "{name}: {version} supports it on {family}");
                continue;
            }
            let found = compiler.compile(kernel);
            let found = found.unwrap_or_else(|error| panic!("{name} on {family}: {error}"));
            measured.entry(name.to_owned()).or_default().insert(family.clone(), found);
        }
    }
    println!("{version}; registers / spills / waves:\n\n{}", budget.table(&measured));
    if version != budget.mesa {
        let why = format!("the budget of registers is for {}, this is {version}", budget.mesa);
        return gpu::report_not_run(&why);
    }
    let complaints = budget.complaints(&measured);
    assert!(
        complaints.is_empty(),
        "tests/gpu_compiler/budget.json (CONTRIBUTING.md says how to change it):\n{}",
        complaints.join("\n")
    );
}
