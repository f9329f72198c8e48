#use grid
#use slots
// dA = v^T x and dB_j = scale * g[:, block_j]^T u_j. Uses `g`, `u`, `v`, `dfactors` and `p` as declared by the
// kernel, which also defines `x_quad(row, column)`, four neighbouring elements of x.
//
// One workgroup of THREADS (64 or 256: variant) for 16 columns of x or of a block of g by 8 columns of v
// or of u_j, over all rows: ceil(inputs / 16) * ceil(adapted * rank / 8) of them for dA, columns fastest
// in v; then adapted * ceil(width / 16) * ceil(rank / 8) for dB. Each of LANES threads processes every LANES-th
// row. The rows of v or u are staged in workgroup memory, STAGED at a time, for the four threads that need
// them. A thread loads its quads of x or g for all staged rows before it uses them. The sums of four threads are
// added at a time, then those of all groups.
const LANES: u32 = THREADS / 4u;
const TURNS: u32 = 4u;
const STAGED: u32 = LANES * TURNS;

// Quads of columns of v or u for the staged rows, first the low ones; then sums.
var<workgroup> shared_quads: array<vec4<f32>, 4u * THREADS>;

fn g_quad(first: u32, last: u32) -> vec4<f32> {
    let at = quad_items(first, last);
    return join(g[at.x], g[at.y], g[at.z], g[at.w]);
}

fn v_quad(row: u32, c: vec4<u32>) -> vec4<f32> {
    let at = row * p.adapted * p.rank + c;
    return vec4(v[at.x], v[at.y], v[at.z], v[at.w]);
}

// A quad of row `row` of g from column `at` on.
fn g_row(row: u32, at: u32) -> vec4<f32> {
    return g_quad(row * p.outputs + at, (row + 1u) * p.outputs - 1u);
}

fn u_quad(row: u32, c: vec4<u32>) -> vec4<f32> {
    let at = row * p.adapted * p.rank + c;
    return vec4(u[at.x], u[at.y], u[at.z], u[at.w]);
}

fn outer(sum: mat4x4<f32>, a: vec4<f32>, b: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(sum[0] + a.x * b, sum[1] + a.y * b, sum[2] + a.z * b, sum[3] + a.w * b);
}

// Of four columns of x or g by eight of v or u.
struct Sums { low: mat4x4<f32>, high: mat4x4<f32> }

// Stages the quads of one row of v or u, zeros if there is no such row.
fn stage(at: u32, low: vec4<f32>, high: vec4<f32>, exists: bool) {
    shared_quads[at] = select(vec4<f32>(0.0), low, exists);
    shared_quads[STAGED + at] = select(vec4<f32>(0.0), high, exists);
}

// Adds the products of a staged row of v or u and a quad of that row of x or g.
fn add_row(sums: Sums, at: u32, b: vec4<f32>) -> Sums {
    return Sums(outer(sums.low, shared_quads[at], b), outer(sums.high, shared_quads[STAGED + at], b));
}

// Sums over the LANES threads that share a quad of columns, for threads below 16: of row thread / 4 of the sums, in
// quad thread % 4.
fn sum_threads(thread: u32, sum: mat4x4<f32>) -> vec4<f32> {
    workgroupBarrier();
    shared_quads[thread] = sum[0];
    shared_quads[THREADS + thread] = sum[1];
    shared_quads[2u * THREADS + thread] = sum[2];
    shared_quads[3u * THREADS + thread] = sum[3];
    workgroupBarrier();
    let first = thread / 4u % 4u * THREADS + thread / 16u * 16u + thread % 4u;
    let of_four = shared_quads[first] + shared_quads[first + 4u] + shared_quads[first + 8u]
        + shared_quads[first + 12u];
    workgroupBarrier();
    shared_quads[thread] = of_four;
    workgroupBarrier();
    var total = vec4<f32>(0.0);
    for (var i = thread % 16u; i < THREADS; i += 16u) { total += shared_quads[i]; }
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
    let end = p.rows - 1u;
    var sums = Sums();
    for (var start = 0u; start < p.rows; start += STAGED) {
        let lane = thread / 4u;
        let b0 = x_quad(min(start + lane, end), at);
        let b1 = x_quad(min(start + lane + LANES, end), at);
        let b2 = x_quad(min(start + lane + 2u * LANES, end), at);
        let b3 = x_quad(min(start + lane + 3u * LANES, end), at);
        let row = start + thread;
        workgroupBarrier();
        stage(thread, v_quad(min(row, end), c_low), v_quad(min(row, end), c_high), row <= end);
        workgroupBarrier();
        sums = add_row(sums, lane, b0);
        sums = add_row(sums, lane + LANES, b1);
        sums = add_row(sums, lane + 2u * LANES, b2);
        sums = add_row(sums, lane + 3u * LANES, b3);
    }
    let sum_low = sum_threads(thread, sums.low);
    let sum_high = sum_threads(thread, sums.high);
    if (thread < 16u) {
        // The quad is the one that the thread loaded.
        let i = first + thread / 4u;
        for (var n = 0u; n < 4u; n++) {
            store_a(i, column + n, sum_low[n]);
            store_a(i + 4u, column + n, sum_high[n]);
        }
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
    let end = p.rows - 1u;
    var sums = Sums();
    for (var start = 0u; start < p.rows; start += STAGED) {
        let lane = thread / 4u;
        let b0 = g_row(min(start + lane, end), at);
        let b1 = g_row(min(start + lane + LANES, end), at);
        let b2 = g_row(min(start + lane + 2u * LANES, end), at);
        let b3 = g_row(min(start + lane + 3u * LANES, end), at);
        let row = start + thread;
        workgroupBarrier();
        stage(thread, u_quad(min(row, end), c_low), u_quad(min(row, end), c_high), row <= end);
        workgroupBarrier();
        sums = add_row(sums, lane, b0);
        sums = add_row(sums, lane + LANES, b1);
        sums = add_row(sums, lane + 2u * LANES, b2);
        sums = add_row(sums, lane + 3u * LANES, b3);
    }
    let sum_low = sum_threads(thread, sums.low);
    let sum_high = sum_threads(thread, sums.high);
    if (thread < 16u) {
        // The quad is the one that the thread loaded.
        let i = first + thread / 4u;
        for (var n = 0u; n < 4u; n++) {
            store_b(slot, i, column + n, sum_low[n]);
            store_b(slot, i + 4u, column + n, sum_high[n]);
        }
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
