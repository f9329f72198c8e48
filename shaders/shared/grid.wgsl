// Index of a workgroup in a dispatch that the host may have split into x and y, because one
// dimension has at most 65,535 workgroups.
fn linear_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + group.y * groups.x;
}
