// Edges that stand in three planes of a window and not in the first frame, counted per 16x16 block of half-size planes.
// Twin: quality::strokes::strokes. One workgroup per block and window; a count is at most 256.
#import bytes

struct Params {
    first: u32,   // window of the first workgroup
    width: u32,
    height: u32,
    stride: u32,  // bytes from one plane to the next
    step: u32,    // planes from one window's end to the next; the first ends at this plane
    middle: u32,  // how far before the end the middle plane lies ...
    start: u32,   // ... and the first one
    columns: u32, // blocks per row of blocks
    blocks: u32,  // per plane
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
// The clip's first frame, one plane.
@group(0) @binding(2) var<storage, read> origin: array<u32>;
// Per window and block a count.
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;

var<workgroup> fresh: atomic<u32>;

fn pixel(start: u32, x: u32, y: u32) -> i32 {
    let index = start + min(y, params.height - 1u) * params.width + min(x, params.width - 1u);
    return i32(byte_of(planes[index >> 2u], index));
}

// Differences to the right and to the lower neighbour.
fn gradients(plane: u32, x: u32, y: u32) -> vec2<i32> {
    let start = plane * params.stride;
    let here = pixel(start, x, y);
    return vec2<i32>(pixel(start, x + 1u, y) - here, pixel(start, x, y + 1u) - here);
}

fn origin_pixel(x: u32, y: u32) -> i32 {
    let index = min(y, params.height - 1u) * params.width + min(x, params.width - 1u);
    return i32(byte_of(origin[index >> 2u], index));
}

// Largest gradient of the first frame within two pixels.
fn known_around(x: u32, y: u32) -> i32 {
    var known = 0;
    for (var v = max(y, 2u) - 2u; v < min(y + 3u, params.height); v++) {
        for (var u = max(x, 2u) - 2u; u < min(x + 3u, params.width); u++) {
            let here = origin_pixel(u, v);
            known = max(known, max(abs(origin_pixel(u + 1u, v) - here), abs(origin_pixel(u, v + 1u) - here)));
        }
    }
    return known;
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let window = params.first + group.z;
    let end = (window + 1u) * params.step;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < params.width && y < params.height {
        let a = gradients(end, x, y);
        let b = gradients(end - params.middle, x, y);
        let c = gradients(end - params.start, x, y);
        let standing = max(min(a, min(b, c)), -max(a, max(b, c)));
        let edge = max(standing.x, standing.y);
        if edge >= 20 && edge >= 3 * known_around(x, y) {
            atomicAdd(&fresh, 1u);
        }
    }
    workgroupBarrier();
    if local == 0u {
        counts[window * params.blocks + group.y * params.columns + group.x] = atomicLoad(&fresh);
    }
}
