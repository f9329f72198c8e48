// As `lora_grads`, for an input that is the output of a normalisation: x = n gamma + beta.
//
//   g [rows, outputs], outputs in at most three blocks of `width`; normalised (n) [rows, inputs]; gamma,
//   beta [inputs]; u, v [rows, adapted * rank], v includes the scale; dfactors: dA
//   [adapted * rank, inputs], then dB [adapted * width, rank].
//
// Dispatch and numerics: as `lora_grads`. x is computed as `add_layer_norm` does.
#use lora_gradients

struct Params {
    rows: u32,
    inputs: u32,
    outputs: u32,
    width: u32,
    rank: u32,
    adapted: u32,
    // Index of block 0, 1 and 2 among the adapted blocks; 0xffffffff if not adapted.
    slot_0: u32,
    slot_1: u32,
    slot_2: u32,
    scale: f32,
}

@group(0) @binding(0) var<storage, read> g: array<Item>;
@group(0) @binding(1) var<storage, read> normalised: array<Item>;
@group(0) @binding(2) var<storage, read> gamma: array<Item>;
@group(0) @binding(3) var<storage, read> beta: array<Item>;
@group(0) @binding(4) var<storage, read> u: array<f32>;
@group(0) @binding(5) var<storage, read> v: array<f32>;
@group(0) @binding(6) var<storage, read_write> dfactors: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

// Elements past the row's end are not used.
fn x_quad(row: u32, column: u32) -> vec4<f32> {
    let at = quad_items(row * p.inputs + column, (row + 1u) * p.inputs - 1u);
    let c = quad_items(column, p.inputs - 1u);
    let n = join(normalised[at.x], normalised[at.y], normalised[at.z], normalised[at.w]);
    let scale = join(gamma[c.x], gamma[c.y], gamma[c.z], gamma[c.w]);
    return fma(n, scale, join(beta[c.x], beta[c.y], beta[c.z], beta[c.w]));
}

@compute @workgroup_size(THREADS)
fn lora_grads_scaled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    gradients(linear_group(group, groups), thread);
}
