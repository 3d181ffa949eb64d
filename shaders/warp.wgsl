// The other frame read where a field points, in 1/16 level, two pixels to a word. Twin: quality::temporal::warp::warp.
// One invocation per word.
#import bytes
#import vectors

struct Params {
    first: u32,  // pair of the first workgroup
    width: u32,
    height: u32,
    stride: u32, // bytes from one plane to the next
    other: u32,  // plane of the pair's other frame, beyond the pair's number
    words: u32,  // of the output per pair, the last one filled up with zeros
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read> field: array<u32>;
@group(0) @binding(3) var<storage, read_write> warped: array<u32>;

fn pixel(plane: u32, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(params.width) - 1));
    let row = u32(clamp(y, 0, i32(params.height) - 1));
    let index = plane * params.stride + row * params.width + column;
    return i32(byte_of(planes[index >> 2u], index));
}

fn across(plane: u32, x: i32, y: i32, part: i32) -> i32 {
    return ((32 - part) * pixel(plane, x, y) + part * pixel(plane, x + 1, y) + 2) >> 2u;
}

fn sample(plane: u32, p: vec2<i32>, vector: vec2<i32>) -> u32 {
    let at = p + (vector >> vec2<u32>(5u));
    let part = vector & vec2<i32>(31);
    let upper = across(plane, at.x, at.y, part.x);
    let lower = across(plane, at.x, at.y + 1, part.x);
    return u32(((32 - part.y) * upper + part.y * lower + 8) >> 4u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let word = group.x * 256u + local;
    if word >= params.words {
        return;
    }
    let area = params.width * params.height;
    var packed = 0u;
    for (var k = 0u; k < 2u; k++) {
        let index = word * 2u + k;
        if index < area {
            let p = vec2<i32>(i32(index % params.width), i32(index / params.width));
            packed |= sample(pair + params.other, p, vector_of(field[pair * area + index])) << (16u * k);
        }
    }
    warped[pair * params.words + word] = packed;
}
