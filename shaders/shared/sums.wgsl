// Sums of a product's tile on a GPU: 4 rows by 4 * EACH columns for a thread, at most 32 sums, so that their registers
// and those of the next step's quads stay below 128. A variant uses one of `staged_f32` and `staged_f16`: the factors in
// workgroup memory, and the next step's quads, are f32 or f16.
const STEP: u32 = 16u;
// Quads of a line of a tile: the inner indices of a row or column.
const LINE: u32 = STEP / 4u;
// Threads along a row of the tile.
const WIDTH: u32 = TILE_COLUMNS / (4u * EACH);
// Quads of each factor that a thread loads for a step.
const LEFT_LOADS: u32 = TILE_ROWS * LINE / THREADS;
const RIGHT_LOADS: u32 = TILE_COLUMNS * LINE / THREADS;
// Strides in quads, padded by one to avoid bank conflicts: between four lines, of a factor whose quads are along the
// inner dimension, and between inner indices of other factors.
const LINES_PITCH: u32 = STEP + 1u;
const LEFT_PITCH: u32 = TILE_ROWS / 4u + 1u;
const RIGHT_PITCH: u32 = TILE_COLUMNS / 4u + 1u;

var<workgroup> left_tile: array<Staged, LEFT_PITCH * LINES_PITCH>;
var<workgroup> right_tile: array<Staged, RIGHT_PITCH * LINES_PITCH>;
var<workgroup> extra_tile: array<Staged, max(8u * EXTRA * (LINE + 1u), 1u)>;

// m_a has the thread's rows as columns of the matrix, for half a of its columns. Constant indices only, so that it
// stays in registers.
struct Sums {
    m0: mat4x4<f32>,
    m1: mat4x4<f32>,
    // The extra columns x and x + 8 for the thread's rows.
    e0: vec4<f32>,
    e1: vec4<f32>,
}

// The quads that a thread loads for a step.
struct Quads {
    left_0: Staged,
    left_1: Staged,
    right_0: Staged,
    right_1: Staged,
    extra: Staged,
}

// Line and inner index of load `i` of this thread in a tile of `lines`. Neighbouring threads load along the direction
// in which the factor is contiguous.
fn quad_place(across: bool, lines: u32, i: u32) -> vec2<u32> {
    let n = thread + i * THREADS;
    if (across) {
        return vec2(n / LINE, 4u * (n % LINE));
    }
    return vec2(4u * (n % (lines / 4u)), n / (lines / 4u));
}

// Where a quad is in workgroup memory.
fn quad_index(across: bool, pitch: u32, place: vec2<u32>) -> u32 {
    if (across) {
        return place.x / 4u * LINES_PITCH + place.x % 4u * LINE + place.y / 4u;
    }
    return place.y * pitch + place.x / 4u;
}

fn load_left(i: u32, k: u32, low: bool) -> Staged {
    let place = quad_place(LEFT_ACROSS, TILE_ROWS, i) + vec2(tile_row, k);
    return staged(left_quad(place.x, place.y, low));
}

fn load_right(i: u32, k: u32, low: bool) -> Staged {
    let place = quad_place(RIGHT_ACROSS, TILE_COLUMNS, i) + vec2(tile_column, k);
    return staged(right_quad(place.x, place.y, low));
}

fn load(k: u32, low: bool, with_extra: bool) -> Quads {
    var quads: Quads;
    quads.left_0 = load_left(0u, k, low);
    if (LEFT_LOADS > 1u) {
        quads.left_1 = load_left(1u, k, low);
    }
    quads.right_0 = load_right(0u, k, low);
    if (RIGHT_LOADS > 1u) {
        quads.right_1 = load_right(1u, k, low);
    }
    if (EXTRA > 0u && with_extra) {
        quads.extra = staged(extra_quad(thread / LINE, k + 4u * (thread % LINE)));
    }
    return quads;
}

fn stage_left(i: u32, quad: Staged) {
    left_tile[quad_index(LEFT_ACROSS, LEFT_PITCH, quad_place(LEFT_ACROSS, TILE_ROWS, i))] = quad;
}

fn stage_right(i: u32, quad: Staged) {
    right_tile[quad_index(RIGHT_ACROSS, RIGHT_PITCH, quad_place(RIGHT_ACROSS, TILE_COLUMNS, i))] = quad;
}

fn stage(quads: Quads, with_extra: bool) {
    stage_left(0u, quads.left_0);
    if (LEFT_LOADS > 1u) {
        stage_left(1u, quads.left_1);
    }
    stage_right(0u, quads.right_0);
    if (RIGHT_LOADS > 1u) {
        stage_right(1u, quads.right_1);
    }
    if (EXTRA > 0u && with_extra && thread < 8u * EXTRA * LINE) {
        extra_tile[thread / LINE * (LINE + 1u) + thread % LINE] = quads.extra;
    }
}

// Four staged quads, `pitch` apart, as columns of a matrix.
fn left_quads(at: u32, pitch: u32) -> mat4x4<f32> {
    return mat4x4(full(left_tile[at]), full(left_tile[at + pitch]),
        full(left_tile[at + 2u * pitch]), full(left_tile[at + 3u * pitch]));
}

fn right_quads(at: u32, pitch: u32) -> mat4x4<f32> {
    return mat4x4(full(right_tile[at]), full(right_tile[at + pitch]),
        full(right_tile[at + 2u * pitch]), full(right_tile[at + 3u * pitch]));
}

// Four rows of the thread, and below four columns: the inner indices from 4 * q on as columns of the matrix.
fn left_block(q: u32, across: bool) -> mat4x4<f32> {
    let y = thread / WIDTH;
    if (across) {
        return transpose(left_quads(y * LINES_PITCH + q, LINE));
    }
    return left_quads(4u * q * LEFT_PITCH + y, LEFT_PITCH);
}

fn right_block(q: u32, half: u32) -> mat4x4<f32> {
    let x = thread % WIDTH + half * WIDTH;
    if (RIGHT_ACROSS) {
        return transpose(right_quads(x * LINES_PITCH + q, LINE));
    }
    return right_quads(4u * q * RIGHT_PITCH + x, RIGHT_PITCH);
}

// Adds four inner indices, one after the other, so that neighbouring instructions do not wait for each other.
fn add_block(sum: mat4x4<f32>, a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> {
    return outer(outer(outer(outer(sum, a[0], b[0]), a[1], b[1]), a[2], b[2]), a[3], b[3]);
}

// The same for an extra column.
fn add_extra(sum: vec4<f32>, a: mat4x4<f32>, c: vec4<f32>) -> vec4<f32> {
    return sum + c.x * a[0] + c.y * a[1] + c.z * a[2] + c.w * a[3];
}

// Adds `quads` times four inner indices of the staged tiles, and the extra columns if requested.
fn multiply(sums: ptr<function, Sums>, quads: u32, with_extra: bool, left_across: bool) {
    for (var q = 0u; q < quads; q++) {
        let a = left_block(q, left_across);
        (*sums).m0 = add_block((*sums).m0, a, right_block(q, 0u));
        if (EACH > 1u) {
            (*sums).m1 = add_block((*sums).m1, a, right_block(q, 1u));
        }
        if (EXTRA > 0u && with_extra) {
            let at = thread % WIDTH * (LINE + 1u) + q;
            (*sums).e0 = add_extra((*sums).e0, a, full(extra_tile[at]));
            if (EXTRA > 1u) {
                (*sums).e1 = add_extra((*sums).e1, a, full(extra_tile[at + 8u * (LINE + 1u)]));
            }
        }
    }
}

// The whole product over `inner` indices. Afterwards the tiles can be staged again.
fn product(inner: u32, with_extra: bool) -> Sums {
    var sums: Sums;
    var quads = load(0u, false, with_extra);
    for (var k = 0u; k < inner; k += STEP) {
        stage(quads, with_extra);
        workgroupBarrier();
        if (k + STEP < inner) {
            quads = load(k + STEP, false, with_extra);
        }
        multiply(&sums, LINE, with_extra, LEFT_ACROSS);
        workgroupBarrier();
    }
    return sums;
}

// Adds `inner` indices of the low-rank factors.
fn add_low_rank(sums: ptr<function, Sums>, inner: u32) {
    for (var k = 0u; k < inner; k += STEP) {
        stage(load(k, true, false), false);
        workgroupBarrier();
        multiply(sums, (min(STEP, inner - k) + 3u) / 4u, false, LEFT_ACROSS);
        workgroupBarrier();
    }
}

// Adds `rank` indices of the low-rank term whose left factor is the extra columns; `rank` is at most 8 * EXTRA.
fn add_fused(sums: ptr<function, Sums>, rank: u32) {
    let at = thread % WIDTH * LEFT_PITCH + thread / WIDTH;
    left_tile[at] = staged((*sums).e0);
    if (EXTRA > 1u) {
        left_tile[at + 8u * LEFT_PITCH] = staged((*sums).e1);
    }
    stage_right(0u, load_right(0u, 0u, true));
    if (RIGHT_LOADS > 1u) {
        stage_right(1u, load_right(1u, 0u, true));
    }
    workgroupBarrier();
    multiply(sums, (rank + 3u) / 4u, false, false);
    workgroupBarrier();
}

// The extra column thread % 8 + 8 * turn for the thread's rows, in the first column of the matrix. HEIGHT is the number
// of its columns that have rows.
const HEIGHT: u32 = 1u;
fn extra_sums(sums: ptr<function, Sums>, turn: u32) -> mat4x4<f32> {
    var extra = mat4x4<f32>();
    extra[0] = (*sums).e0;
    if (turn > 0u) {
        extra[0] = (*sums).e1;
    }
    return extra;
}

// Passes every four neighbouring outputs to `finish(row, column, values)`.
fn finish_all(sums: Sums) {
    let row = tile_row + 4u * (thread / WIDTH);
    let column = tile_column + 4u * (thread % WIDTH);
    finish_block(sums.m0, row, column);
    if (EACH > 1u) {
        finish_block(sums.m1, row, column + 4u * WIDTH);
    }
}
