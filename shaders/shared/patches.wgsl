// Staging of a product in square tiles of TILE_ROWS = TILE_COLUMNS = TILE by 64 threads: each loads one 4 by 4 patch of
// each factor for a step. A thread of the 8 by 8 owns rows 4 y .. + 3 and columns 4 x .. + 3 of the tile, and the
// same again at every offset of 32. The including file holds the sums and defines `multiply`.
const TILE: u32 = TILE_ROWS;
const STEP: u32 = 1024u / TILE;
// Stride in quads between inner indices of a tile, padded by one to avoid bank conflicts.
const PITCH: u32 = TILE / 4u + 1u;

var<workgroup> left_tile: array<vec4<f32>, STEP * PITCH>;
var<workgroup> right_tile: array<vec4<f32>, STEP * PITCH>;
var<workgroup> extra_tile: array<f32, max(STEP * 8u * EXTRA, 1u)>;

// This thread's position in a patch grid: x the first row or column in the tile, y the first inner index. Neighbouring
// threads load along the direction in which the factor is contiguous.
fn patch_place(across: bool) -> vec2<u32> {
    if (across) {
        return 4u * vec2(thread / (STEP / 4u), thread % (STEP / 4u));
    }
    return 4u * vec2(thread % (TILE / 4u), thread / (TILE / 4u));
}

// Column i of a patch is inner index k + i.
fn left_patch(k: u32, low: bool) -> mat4x4<f32> {
    let at = patch_place(LEFT_ACROSS) + vec2(tile_row, k);
    if (LEFT_ACROSS) {
        return transpose(mat4x4(left_quad(at.x, at.y, low), left_quad(at.x + 1u, at.y, low),
            left_quad(at.x + 2u, at.y, low), left_quad(at.x + 3u, at.y, low)));
    }
    return mat4x4(left_quad(at.x, at.y, low), left_quad(at.x, at.y + 1u, low),
        left_quad(at.x, at.y + 2u, low), left_quad(at.x, at.y + 3u, low));
}

fn right_patch(k: u32, low: bool) -> mat4x4<f32> {
    let at = patch_place(RIGHT_ACROSS) + vec2(tile_column, k);
    if (RIGHT_ACROSS) {
        return transpose(mat4x4(right_quad(at.x, at.y, low), right_quad(at.x + 1u, at.y, low),
            right_quad(at.x + 2u, at.y, low), right_quad(at.x + 3u, at.y, low)));
    }
    return mat4x4(right_quad(at.x, at.y, low), right_quad(at.x, at.y + 1u, low),
        right_quad(at.x, at.y + 2u, low), right_quad(at.x, at.y + 3u, low));
}

fn stage_left(values: mat4x4<f32>) {
    let place = patch_place(LEFT_ACROSS);
    let at = place.y * PITCH + place.x / 4u;
    left_tile[at] = values[0];
    left_tile[at + PITCH] = values[1];
    left_tile[at + 2u * PITCH] = values[2];
    left_tile[at + 3u * PITCH] = values[3];
}

fn stage_right(values: mat4x4<f32>) {
    let place = patch_place(RIGHT_ACROSS);
    let at = place.y * PITCH + place.x / 4u;
    right_tile[at] = values[0];
    right_tile[at + PITCH] = values[1];
    right_tile[at + 2u * PITCH] = values[2];
    right_tile[at + 3u * PITCH] = values[3];
}

fn stage_extra(k: u32) {
    for (var i = thread; i < EXTRA * 2u * STEP; i += THREADS) {
        let column = i / (STEP / 4u);
        let inner = 4u * (i % (STEP / 4u));
        let quad = extra_quad(column, k + inner);
        let at = inner * 8u * EXTRA + column;
        extra_tile[at] = quad.x;
        extra_tile[at + 8u * EXTRA] = quad.y;
        extra_tile[at + 16u * EXTRA] = quad.z;
        extra_tile[at + 24u * EXTRA] = quad.w;
    }
}

// The whole product over `inner` indices. Afterwards the tiles can be staged again.
fn product(inner: u32, with_extra: bool) -> Sums {
    var sums: Sums;
    var left = left_patch(0u, false);
    var right = right_patch(0u, false);
    for (var k = 0u; k < inner; k += STEP) {
        stage_left(left);
        stage_right(right);
        if (EXTRA > 0u && with_extra) {
            stage_extra(k);
        }
        workgroupBarrier();
        if (k + STEP < inner) {
            left = left_patch(k + STEP, false);
            right = right_patch(k + STEP, false);
        }
        multiply(&sums, STEP, with_extra);
        workgroupBarrier();
    }
    return sums;
}

// Adds `inner` indices of the low-rank factors.
fn add_low_rank(sums: ptr<function, Sums>, inner: u32) {
    for (var k = 0u; k < inner; k += STEP) {
        stage_left(left_patch(k, true));
        stage_right(right_patch(k, true));
        workgroupBarrier();
        multiply(sums, min(STEP, inner - k), false);
        workgroupBarrier();
    }
}

// Copies the extra columns from 8 * turn on into the left tile, as its inner indices from `at` on.
fn stage_extra_sums(sums: ptr<function, Sums>, turn: u32, at: u32) {
    let quads = extra_sums(sums, turn);
    let place = (at + thread % 8u) * PITCH + thread / 8u;
    left_tile[place] = quads[0];
    left_tile[place + 8u] = quads[1];
    if (HEIGHT > 2u) {
        left_tile[place + 16u] = quads[2];
        left_tile[place + 24u] = quads[3];
    }
}

// Adds `rank` indices of the low-rank term whose left factor is the extra columns, as many at a time as a tile has inner
// indices; `rank` is at most 8 * EXTRA.
fn add_fused(sums: ptr<function, Sums>, rank: u32) {
    for (var first = 0u; first < rank; first += STEP) {
        stage_extra_sums(sums, first / 8u, 0u);
        if (EXTRA > 1u && STEP > 8u) {
            stage_extra_sums(sums, 1u, 8u);
        }
        stage_right(right_patch(first, true));
        workgroupBarrier();
        multiply(sums, min(STEP, rank - first), false);
        workgroupBarrier();
    }
}
