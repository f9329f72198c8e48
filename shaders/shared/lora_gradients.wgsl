#use grid
#use slots
// dA = v^T x and dB_j = scale * g[:, block_j]^T u_j. Uses `g`, `u`, `v`, `dfactors` and `p` as declared by the
// kernel, which also defines `x_quad(row, column)`, four neighbouring elements of x.
//
// One workgroup of THREADS (64 or 256: variant) for 16 columns of x or of a block of g by 8 columns of v
// or of u_j, over all rows: ceil(inputs / 16) * ceil(adapted * rank / 8) of them for dA, columns fastest
// in v; then adapted * ceil(width / 16) * ceil(rank / 8) for dB. Each of LANES threads reads every LANES-th
// row; then sums of 16 threads are added, and the sums of their four groups.
const LANES: u32 = THREADS / 4u;

// For each of the 16 elements of a thread's sums, the values of all threads, rotated by the element to avoid
// bank conflicts.
var<workgroup> partial: array<f32, 16u * THREADS>;

fn g_quad(first: u32, last: u32) -> vec4<f32> {
    let at = quad_items(first, last);
    return join(g[at.x], g[at.y], g[at.z], g[at.w]);
}

fn v_quad(row: u32, c: vec4<u32>) -> vec4<f32> {
    let at = row * p.adapted * p.rank + c;
    return vec4(v[at.x], v[at.y], v[at.z], v[at.w]);
}

fn u_quad(row: u32, c: vec4<u32>) -> vec4<f32> {
    let at = row * p.adapted * p.rank + c;
    return vec4(u[at.x], u[at.y], u[at.z], u[at.w]);
}

fn outer(sum: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(sum[0] + a.x * b, sum[1] + a.y * b, sum[2] + a.z * b, sum[3] + a.w * b);
}

fn put(thread: u32, a: u32, row: vec4<f32>) {
    let first = 4u * a;
    partial[first * THREADS + (thread + 4u * first) % THREADS] = row.x;
    partial[(first + 1u) * THREADS + (thread + 4u * first + 4u) % THREADS] = row.y;
    partial[(first + 2u) * THREADS + (thread + 4u * first + 8u) % THREADS] = row.z;
    partial[(first + 3u) * THREADS + (thread + 4u * first + 12u) % THREADS] = row.w;
}

// Sums over the LANES threads that share a quad of columns, for threads below 64: of element thread / 4
// of the sums, row by row, in quad thread % 4.
fn sum_threads(thread: u32, sum: mat4x4<f32>) -> f32 {
    put(thread, 0u, sum[0]);
    put(thread, 1u, sum[1]);
    put(thread, 2u, sum[2]);
    put(thread, 3u, sum[3]);
    workgroupBarrier();
    let element = thread % 64u / 4u;
    var part = 0.0;
    for (var i = 0u; i < 16u; i++) {
        let other = (thread / 64u * 16u + i) * 4u + thread % 4u;
        part += partial[element * THREADS + (other + 4u * element) % THREADS];
    }
    workgroupBarrier();
    if (THREADS == 64u) {
        return part;
    }
    partial[thread] = part;
    workgroupBarrier();
    let at = thread % 64u;
    let total = partial[at] + partial[at + 64u] + partial[at + 128u] + partial[at + 192u];
    workgroupBarrier();
    return total;
}

// Computes the part of workgroup `index`.
fn gradients(index: u32, thread: u32) {
    let stacked = p.adapted * p.rank;
    let a_chunks = (stacked + 7u) / 8u;
    let a_groups = (p.inputs + 15u) / 16u * a_chunks;
    if (index < a_groups) {
        gradient_of_a(index / a_chunks * 16u, index % a_chunks * 8u, thread);
        return;
    }
    let b_chunks = (p.rank + 7u) / 8u;
    let slot_groups = (p.width + 15u) / 16u * b_chunks;
    let of_b = index - a_groups;
    let slot = of_b / slot_groups;
    if (slot < p.adapted) {
        let in_slot = of_b % slot_groups;
        gradient_of_b(slot, in_slot / b_chunks * 16u, in_slot % b_chunks * 8u, thread);
    }
}

// 16 columns of dA by 8 rows.
fn gradient_of_a(first_column: u32, first: u32, thread: u32) {
    let column = first_column + 4u * (thread % 4u);
    let last = vec4(p.adapted * p.rank - 1u);
    let c = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let c_low = min(c, last);
    let c_high = min(c + 4u, last);
    let at = min(column, p.inputs - 1u);
    var low: mat4x4<f32>;
    var high: mat4x4<f32>;
    for (var row = thread / 4u; row < p.rows; row += LANES) {
        let b = x_quad(row, at);
        low = outer(low, v_quad(row, c_low), b);
        high = outer(high, v_quad(row, c_high), b);
    }
    let sum_low = sum_threads(thread, low);
    let sum_high = sum_threads(thread, high);
    if (thread < 64u) {
        // The element's row and column; the thread's quad is the one that it loaded.
        let i = first + thread / 16u;
        store_a(i, column + thread / 4u % 4u, sum_low);
        store_a(i + 4u, column + thread / 4u % 4u, sum_high);
    }
}

// 16 rows of dB of a slot by 8 columns.
fn gradient_of_b(slot: u32, first_column: u32, first: u32, thread: u32) {
    let column = first_column + 4u * (thread % 4u);
    let last = vec4(p.rank - 1u);
    let c = vec4(first) + vec4(0u, 1u, 2u, 3u);
    let c_low = slot * p.rank + min(c, last);
    let c_high = slot * p.rank + min(c + 4u, last);
    let at = block_of(slot) * p.width + min(column, p.width - 1u);
    var low: mat4x4<f32>;
    var high: mat4x4<f32>;
    for (var row = thread / 4u; row < p.rows; row += LANES) {
        let b = g_quad(row * p.outputs + at, (row + 1u) * p.outputs - 1u);
        low = outer(low, u_quad(row, c_low), b);
        high = outer(high, u_quad(row, c_high), b);
    }
    let sum_low = sum_threads(thread, low);
    let sum_high = sum_threads(thread, high);
    if (thread < 64u) {
        let i = first + thread / 16u;
        store_b(slot, i, column + thread / 4u % 4u, sum_low);
        store_b(slot, i + 4u, column + thread / 4u % 4u, sum_high);
    }
}

// Stores dA at row i and a column, if inside.
fn store_a(i: u32, column: u32, value: f32) {
    if (i < p.adapted * p.rank && column < p.inputs) {
        dfactors[i * p.inputs + column] = value;
    }
}

// Stores dB of a slot at a row and column i, if inside.
fn store_b(slot: u32, i: u32, row: u32, value: f32) {
    if (i < p.rank && row < p.width) {
        let start = p.adapted * p.rank * p.inputs + slot * p.width * p.rank;
        dfactors[start + row * p.rank + i] = p.scale * value;
    }
}
