// Darkest and brightest pixel of every row and every column. Twin: quality::border::line_ranges.
// One workgroup per line: rows first, then columns.
#import bytes

struct Params {
    first: u32,  // sampled frame of the first workgroup
    step: u32,   // every so many planes one is sampled
    width: u32,
    height: u32,
    stride: u32, // bytes from one plane to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
// Per sampled frame and line: darkest, and brightest in the second byte.
@group(0) @binding(2) var<storage, read_write> ranges: array<u32>;

var<workgroup> brightest: atomic<u32>;
var<workgroup> most_below_white: atomic<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let sample = params.first + group.z;
    let line = group.x;
    let is_row = line < params.height;
    let start = sample * params.step * params.stride + select(line - params.height, line * params.width, is_row);
    let count = select(params.height, params.width, is_row);
    let apart = select(params.width, 1u, is_row);
    var high = 0u;
    var below = 0u;
    for (var i = local; i < count; i += 64u) {
        let index = start + i * apart;
        let value = byte_of(planes[index >> 2u], index);
        high = max(high, value);
        below = max(below, 255u - value);
    }
    atomicMax(&brightest, high);
    atomicMax(&most_below_white, below);
    workgroupBarrier();
    if local == 0u {
        let low = 255u - atomicLoad(&most_below_white);
        ranges[sample * (params.width + params.height) + line] = low | (atomicLoad(&brightest) << 8u);
    }
}
