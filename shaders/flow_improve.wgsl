// Every patch takes over a neighbour's vector where that is cheaper, then steps on. Twin: quality::flow::search::improve.
// One invocation per patch; reads the patches of `flow_search`, writes another array.
#import patch

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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read> before: array<vec4<i32>>;
// Per patch: vector x and y, cost, zero.
@group(0) @binding(3) var<storage, read_write> found: array<vec4<i32>>;

fn beside(pair: u32, column: i32, row: i32) -> vec2<i32> {
    let rows = i32(params.patches / params.columns);
    let x = u32(clamp(column, 0, i32(params.columns) - 1));
    let y = u32(clamp(row, 0, rows - 1));
    return before[pair * params.patches + y * params.columns + x].xy;
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
    let others = array<vec2<i32>, 4>(
        beside(pair, column - 1, row), beside(pair, column + 1, row),
        beside(pair, column, row - 1), beside(pair, column, row + 1),
    );
    let start = cheapest(from_plane, to_plane, at, beside(pair, column, row), others);
    found[pair * params.patches + index] = descend(from_plane, to_plane, at, start, params.iterations);
}
