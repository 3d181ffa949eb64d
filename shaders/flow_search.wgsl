// Inverse search of every patch, from the coarser level's field. Twin: quality::flow::search::search.
// One invocation per patch.
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
    iterations: u32,
    coarser_width: u32, // zero at the coarsest level
    coarser_height: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read> coarser: array<u32>;
// Per patch: vector x and y, cost, zero.
@group(0) @binding(3) var<storage, read_write> found: array<vec4<i32>>;

fn doubled(pair: u32, x: i32, y: i32) -> vec2<i32> {
    let column = u32(clamp(x, 0, i32(params.coarser_width) - 1));
    let row = u32(clamp(y, 0, i32(params.coarser_height) - 1));
    let index = (pair * params.coarser_height + row) * params.coarser_width + column;
    return bounded(2 * vector_of(coarser[index]));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let index = group.x * 64u + local;
    if index >= params.patches {
        return;
    }
    let column = i32(index % params.columns);
    let row = i32(index / params.columns);
    let at = origin(column, row);
    let from_plane = pair + params.origin;
    let to_plane = pair + params.target_plane;
    var start = vec2<i32>(0, 0);
    if params.coarser_width > 0u {
        let x = 2 * column + 1;
        let y = 2 * row + 1;
        let others = array<vec2<i32>, 4>(
            doubled(pair, x - 4, y), doubled(pair, x + 4, y), doubled(pair, x, y - 4), doubled(pair, x, y + 4),
        );
        start = cheapest(from_plane, to_plane, at, doubled(pair, x, y), others);
    }
    found[pair * params.patches + index] = descend(from_plane, to_plane, at, start, params.iterations);
}
