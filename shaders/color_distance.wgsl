// Distance in YUV between the 8x8 box means of two frames, 1/64 level, summed over groups of 64 cells.
// Twin: quality::color_distance::color_distance. A cell's difference is at most 16,320, three squares stay below 2^30.
#import bytes
#import root

struct Params {
    first: u32,   // pair of the first workgroup
    width: u32,   // of the luma plane
    height: u32,
    stride: u32,  // bytes from one frame to the next
    columns: u32, // cells per row of cells
    cells: u32,
    groups: u32,  // workgroups per pair
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<u32>;
@group(0) @binding(2) var<storage, read_write> partials: array<u32>;

var<workgroup> total: atomic<u32>;

fn pixel(index: u32) -> i32 {
    return i32(byte_of(frames[index >> 2u], index));
}

// Sum over one cell of first minus second; `start` is the plane's place in the first frame.
fn cell_difference(start: u32, width: u32, column: u32, row: u32, side: u32) -> i32 {
    var sum = 0;
    for (var y = 0u; y < side; y++) {
        for (var x = 0u; x < side; x++) {
            let at = start + (row * side + y) * width + column * side + x;
            sum += pixel(at) - pixel(at + params.stride);
        }
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let cell = group.x * 64u + local;
    if cell < params.cells {
        let column = cell % params.columns;
        let row = cell / params.columns;
        let area = params.width * params.height;
        let start = pair * params.stride;
        let luma = cell_difference(start, params.width, column, row, 8u);
        let u = 4 * cell_difference(start + area, params.width / 2u, column, row, 4u);
        let v = 4 * cell_difference(start + area + area / 4u, params.width / 2u, column, row, 4u);
        atomicAdd(&total, square_root(u32(luma * luma + u * u + v * v)));
    }
    workgroupBarrier();
    if local == 0u {
        partials[pair * params.groups + group.x] = atomicLoad(&total);
    }
}
