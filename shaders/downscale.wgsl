// 2x2 box downscale, (a + b + c + d + 2) >> 2, odd edges counted twice. Twin: quality::plane::downscale.
// One invocation per word of four output pixels.
#import bytes

struct Params {
    first: u32,      // plane of the first workgroup
    width: u32,      // of the source plane, in pixels
    height: u32,
    stride: u32,     // bytes from one source plane to the next
    out_width: u32,
    out_pixels: u32, // per plane
    out_words: u32,  // per plane, the last one filled up with zeros
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> planes: array<u32>;

fn pixel(start: u32, x: u32, y: u32) -> u32 {
    let index = start + min(y, params.height - 1u) * params.width + min(x, params.width - 1u);
    return byte_of(source[index >> 2u], index);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let plane = params.first + group.z;
    let word = group.x * 256u + local;
    if word >= params.out_words {
        return;
    }
    let start = plane * params.stride;
    var packed = 0u;
    for (var k = 0u; k < 4u; k++) {
        let index = word * 4u + k;
        if index < params.out_pixels {
            let x = 2u * (index % params.out_width);
            let y = 2u * (index / params.out_width);
            let sum = pixel(start, x, y) + pixel(start, x + 1u, y)
                + pixel(start, x, y + 1u) + pixel(start, x + 1u, y + 1u);
            packed |= ((sum + 2u) >> 2u) << (8u * k);
        }
    }
    planes[plane * params.out_words + word] = packed;
}
