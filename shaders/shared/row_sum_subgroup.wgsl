// As row_sum, for a device with subgroups and one row per workgroup: THREADS is LANES, and SIDE is not
// used. The kernel defines `alias Sum` and THREADS.
var<workgroup> of_threads: array<Sum, THREADS>;

// Sum of `value` over all threads of the workgroup. Every subgroup adds up the whole row, each of its
// invocations as many terms as there are subgroups, so it does not matter which threads share one.
fn row_sum(value: Sum, thread: u32) -> Sum {
    workgroupBarrier();
    of_threads[thread] = value;
    workgroupBarrier();
    let size = subgroupAdd(1u);
    var sum = Sum();
    for (var i = subgroupExclusiveAdd(1u); i < THREADS; i += size) { sum += of_threads[i]; }
    return subgroupAdd(sum);
}
