#use grid
// Products with few output columns: a workgroup of 64 threads computes 8 rows by 8 columns over
// one long inner dimension. A thread sums all 64 outputs over every 64th inner index, so that neighbouring
// threads read neighbouring elements; the threads' sums are added in workgroup memory, four columns at a
// time, because 16 KB for all of them would leave a GPU with few workgroups at a time.
//
// The including file defines `left(row, k)` and `right(k, column)`, for existing rows and columns.
var<workgroup> partial: array<f32, 2048>;
var<workgroup> exchanged: array<f32, 64>;

// Sums of 8 rows for one column.
struct Column {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn extend(sum: Column, low: vec4<f32>, high: vec4<f32>, b: f32) -> Column {
    return Column(sum.low + low * b, sum.high + high * b);
}

// Stores a thread's sums for one of four columns, rotated by the thread index to avoid bank conflicts.
fn put(thread: u32, column: u32, sum: Column) {
    let start = thread * 32u;
    let at = column * 8u + thread;
    partial[start + at % 32u] = sum.low.x;
    partial[start + (at + 1u) % 32u] = sum.low.y;
    partial[start + (at + 2u) % 32u] = sum.low.z;
    partial[start + (at + 3u) % 32u] = sum.low.w;
    partial[start + (at + 4u) % 32u] = sum.high.x;
    partial[start + (at + 5u) % 32u] = sum.high.y;
    partial[start + (at + 6u) % 32u] = sum.high.z;
    partial[start + (at + 7u) % 32u] = sum.high.w;
}

// Output thread % 32 of four columns, summed over half of the threads: the first half for threads below
// 32, the second half for the others. All threads of the workgroup take part.
fn half_sum(thread: u32, c0: Column, c1: Column, c2: Column, c3: Column) -> f32 {
    workgroupBarrier();
    put(thread, 0u, c0);
    put(thread, 1u, c1);
    put(thread, 2u, c2);
    put(thread, 3u, c3);
    workgroupBarrier();
    let first = thread / 32u * 32u;
    var sum = 0.0;
    for (var lane = first; lane < first + 32u; lane++) {
        sum += partial[lane * 32u + (thread + lane) % 32u];
    }
    return sum;
}

// Output (row + thread % 8, column + thread / 8) of the product over `inner` indices. Rows and
// columns past the last one repeat it.
fn skinny_product(thread: u32, row: u32, rows: u32, column: u32, columns: u32, inner: u32) -> f32 {
    var c0: Column;
    var c1: Column;
    var c2: Column;
    var c3: Column;
    var c4: Column;
    var c5: Column;
    var c6: Column;
    var c7: Column;
    let r = vec4(row) + vec4(0u, 1u, 2u, 3u);
    let low_rows = min(r, vec4(rows - 1u));
    let high_rows = min(r + 4u, vec4(rows - 1u));
    let c = vec4(column) + vec4(0u, 1u, 2u, 3u);
    let low_columns = min(c, vec4(columns - 1u));
    let high_columns = min(c + 4u, vec4(columns - 1u));
    for (var k = thread; k < inner; k += 64u) {
        let low = vec4(left(low_rows.x, k), left(low_rows.y, k), left(low_rows.z, k), left(low_rows.w, k));
        let high = vec4(left(high_rows.x, k), left(high_rows.y, k), left(high_rows.z, k), left(high_rows.w, k));
        c0 = extend(c0, low, high, right(k, low_columns.x));
        c1 = extend(c1, low, high, right(k, low_columns.y));
        c2 = extend(c2, low, high, right(k, low_columns.z));
        c3 = extend(c3, low, high, right(k, low_columns.w));
        c4 = extend(c4, low, high, right(k, high_columns.x));
        c5 = extend(c5, low, high, right(k, high_columns.y));
        c6 = extend(c6, low, high, right(k, high_columns.z));
        c7 = extend(c7, low, high, right(k, high_columns.w));
    }
    let low_half = half_sum(thread, c0, c1, c2, c3);
    let high_half = half_sum(thread, c4, c5, c6, c7);
    // A thread below 32 completes the output of the first four columns, thread + 32 that of the others.
    let first = thread < 32u;
    exchanged[thread] = select(low_half, high_half, first);
    workgroupBarrier();
    return select(high_half, low_half, first) + exchanged[thread ^ 32u];
}
