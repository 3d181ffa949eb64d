// Energy of the two highest octaves in 16x16 blocks of sampled planes. Twin: quality::octaves::octaves. One workgroup per
// block; the first quarter of it takes the half-size plane. A response lies within -1147..=1148, so that a block's sum is
// at most 674,766,848.
#import bytes

struct Params {
    first: u32,       // sampled plane of the first workgroup
    step: u32,        // every so many planes one is sampled
    width: u32,
    height: u32,
    stride: u32,      // bytes from one plane to the next
    half_width: u32,
    half_height: u32,
    half_stride: u32,
    columns: u32,     // blocks per row of blocks
    blocks: u32,      // per plane
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read> halves: array<u32>;
// Per sampled plane and block two sums: the highest octave, the one below.
@group(0) @binding(3) var<storage, read_write> sums: array<u32>;

var<workgroup> energy: array<atomic<u32>, 2>;

// A plane in one of the two buffers, that of half size or the whole one.
struct Plane {
    half: bool,
    start: u32,       // byte of its first pixel
    width: u32,
    height: u32,
}

fn pixel(plane: Plane, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(plane.width) - 1));
    let row = u32(clamp(y, 0, i32(plane.height) - 1));
    let index = plane.start + row * plane.width + column;
    if plane.half {
        return i32(byte_of(halves[index >> 2u], index));
    }
    return i32(byte_of(planes[index >> 2u], index));
}

// The response at a pixel in the direction of a step (one of its parts is 1, the other 0).
fn response(plane: Plane, x: i32, y: i32, way: vec2<i32>) -> i32 {
    let near = pixel(plane, x - way.x, y - way.y) + pixel(plane, x + way.x, y + way.y);
    let far = pixel(plane, x - 3 * way.x, y - 3 * way.y) + pixel(plane, x + 3 * way.x, y + 3 * way.y);
    return (16 * pixel(plane, x, y) - 9 * near + far + 2) >> 2u;
}

// Energy of both responses at a pixel, none beyond the plane.
fn energy_at(plane: Plane, x: u32, y: u32) -> u32 {
    if x >= plane.width || y >= plane.height {
        return 0u;
    }
    let across = response(plane, i32(x), i32(y), vec2<i32>(1, 0));
    let along = response(plane, i32(x), i32(y), vec2<i32>(0, 1));
    return u32(across * across + along * along);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = params.first + group.z;
    let picture = sample * params.step;
    let whole = Plane(false, picture * params.stride, params.width, params.height);
    atomicAdd(&energy[0], energy_at(whole, group.x * 16u + place.x, group.y * 16u + place.y));
    if place.x < 8u && place.y < 8u {
        let half = Plane(true, picture * params.half_stride, params.half_width, params.half_height);
        atomicAdd(&energy[1], energy_at(half, group.x * 8u + place.x, group.y * 8u + place.y));
    }
    workgroupBarrier();
    if local < 2u {
        let block = group.y * params.columns + group.x;
        sums[(sample * params.blocks + block) * 2u + local] = atomicLoad(&energy[local]);
    }
}
