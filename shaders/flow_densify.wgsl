// A vector for every pixel: the mean of its patches' vectors, weighted by how well each explains it.
// Twin: quality::flow::search::densify, which scatters where this gathers. One invocation per pixel.
#import patch
#import vectors

struct Params {
    first: u32,   // pair of the first workgroup
    width: u32,
    height: u32,
    stride: u32,  // bytes from one plane to the next
    origin: u32,  // plane of the pair's first frame, beyond the pair's number
    target_plane: u32, // plane of the pair's second frame, likewise
    columns: u32, // patches per row
    patches: u32, // per pair
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read> found: array<vec4<i32>>;
@group(0) @binding(3) var<storage, read_write> field: array<u32>;

fn rounded(numerator: i32, denominator: i32) -> i32 {
    let half = denominator / 2;
    return (numerator + select(half, -half, numerator < 0)) / denominator;
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) place: vec3<u32>) {
    let pair = params.first + group.z;
    let x = i32(group.x * 16u + place.x);
    let y = i32(group.y * 16u + place.y);
    if x >= i32(params.width) || y >= i32(params.height) {
        return;
    }
    let here = 16 * pixel(pair + params.origin, x, y);
    let second = pair + params.target_plane;
    let columns = i32(params.columns);
    let rows = i32(params.patches / params.columns);
    var weights = 0;
    var sums = vec2<i32>(0, 0);
    for (var k = 0; k < 4; k++) {
        let column = ((x - 2) >> 2u) + (k & 1);
        let row = ((y - 2) >> 2u) + (k >> 1u);
        if column >= 0 && row >= 0 && column < columns && row < rows {
            let vector = found[pair * params.patches + u32(row * columns + column)].xy;
            let at = vec2<i32>(x, y) + (vector >> vec2<u32>(5u));
            let part = vector & vec2<i32>(31);
            let upper = across(second, at.x, at.y, part.x);
            let lower = across(second, at.x, at.y + 1, part.x);
            let residual = between(upper, lower, part.y) - here;
            let near = max(32 - (abs(residual) >> 4u), 1);
            weights += near * near;
            sums += near * near * vector;
        }
    }
    let divisor = max(weights, 1);
    let vector = vec2<i32>(rounded(sums.x, divisor), rounded(sums.y, divisor));
    field[(pair * params.height + u32(y)) * params.width + u32(x)] = word_of(vector);
}
