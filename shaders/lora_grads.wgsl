// dA = v^T x and dB_j = scale * g[:, block_j]^T u_j: the gradient of the stacked factors.
//
//   g [rows, outputs], outputs in at most three blocks of `width`; kept [rows, inputs]: x, or, in the
//   variants with input_gelu, the input of the GELU that gives x;
//   u, v [rows, adapted * rank], v includes the scale; dfactors: dA [adapted * rank, inputs], then
//   dB [adapted * width, rank].
//
// Dispatch: ceil(inputs / 16) * ceil(adapted * rank / 8) workgroups of THREADS for dA, then
// adapted * ceil(width / 16) * ceil(rank / 8) for dB (shared/lora_gradients.wgsl).
//
// Numerics: f32. The GELU uses the same code as the forward pass.
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
@group(0) @binding(1) var<storage, read> kept: array<Item>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> dfactors: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

// Elements past the row's end are not used.
fn x_quad(row: u32, column: u32) -> vec4<f32> {
    let at = quad_items(row * p.inputs + column, (row + 1u) * p.inputs - 1u);
    return restored(join(kept[at.x], kept[at.y], kept[at.z], kept[at.w]));
}

@compute @workgroup_size(THREADS)
fn lora_grads(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    gradients(linear_group(group, groups), thread);
}
