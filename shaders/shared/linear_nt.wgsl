#use product
#use linear_io
// The product x W^T of the forward kernels. Uses `x`, `w`, `bias`, `y` and `p` as declared by the kernel.
const LEFT_ACROSS: bool = true;
const RIGHT_ACROSS: bool = true;

fn left_patch(k: u32) -> mat4x4<f32> {
    let at = patch_place(LEFT_ACROSS) + vec2(tile_row, k);
    return transpose(mat4x4(x_quad(at.x, at.y), x_quad(at.x + 1u, at.y),
        x_quad(at.x + 2u, at.y), x_quad(at.x + 3u, at.y)));
}

fn right_patch(k: u32) -> mat4x4<f32> {
    let at = patch_place(RIGHT_ACROSS) + vec2(tile_column, k);
    return transpose(mat4x4(weight_quad(at.x, at.y), weight_quad(at.x + 1u, at.y),
        weight_quad(at.x + 2u, at.y), weight_quad(at.x + 3u, at.y)));
}
