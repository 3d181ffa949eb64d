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

fn whole_pixel(start: u32, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(params.width) - 1));
    let row = u32(clamp(y, 0, i32(params.height) - 1));
    let index = start + row * params.width + column;
    return i32(byte_of(planes[index >> 2u], index));
}

fn half_pixel(start: u32, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(params.half_width) - 1));
    let row = u32(clamp(y, 0, i32(params.half_height) - 1));
    let index = start + row * params.half_width + column;
    return i32(byte_of(halves[index >> 2u], index));
}

fn response(middle: i32, near: i32, far: i32) -> i32 {
    return (16 * middle - 9 * near + far + 2) >> 2u;
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = params.first + group.z;
    let x = i32(group.x * 16u + place.x);
    let y = i32(group.y * 16u + place.y);
    if x < i32(params.width) && y < i32(params.height) {
        let s = sample * params.step * params.stride;
        let middle = whole_pixel(s, x, y);
        let across = response(
            middle,
            whole_pixel(s, x - 1, y) + whole_pixel(s, x + 1, y),
            whole_pixel(s, x - 3, y) + whole_pixel(s, x + 3, y),
        );
        let along = response(
            middle,
            whole_pixel(s, x, y - 1) + whole_pixel(s, x, y + 1),
            whole_pixel(s, x, y - 3) + whole_pixel(s, x, y + 3),
        );
        atomicAdd(&energy[0], u32(across * across + along * along));
    }
    let u = i32(group.x * 8u + place.x);
    let v = i32(group.y * 8u + place.y);
    if place.x < 8u && place.y < 8u && u < i32(params.half_width) && v < i32(params.half_height) {
        let s = sample * params.step * params.half_stride;
        let middle = half_pixel(s, u, v);
        let across = response(
            middle,
            half_pixel(s, u - 1, v) + half_pixel(s, u + 1, v),
            half_pixel(s, u - 3, v) + half_pixel(s, u + 3, v),
        );
        let along = response(
            middle,
            half_pixel(s, u, v - 1) + half_pixel(s, u, v + 1),
            half_pixel(s, u, v - 3) + half_pixel(s, u, v + 3),
        );
        atomicAdd(&energy[1], u32(across * across + along * along));
    }
    workgroupBarrier();
    if local < 2u {
        let block = group.y * params.columns + group.x;
        sums[(sample * params.blocks + block) * 2u + local] = atomicLoad(&energy[local]);
    }
}
