// Histogram of luma in 32 bins per plane. Twin: the histogram of quality::temporal::measures. Workgroups of 4096 pixels.
#import bytes

struct Params {
    first: u32,  // plane of the first workgroup
    pixels: u32, // per plane
    stride: u32, // bytes from one plane to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
// Cleared before.
@group(0) @binding(2) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> bins: array<atomic<u32>, 32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let plane = params.first + group.z;
    for (var k = 0u; k < 16u; k++) {
        let place = group.x * 4096u + k * 256u + local;
        if place < params.pixels {
            let index = plane * params.stride + place;
            atomicAdd(&bins[byte_of(planes[index >> 2u], index) >> 3u], 1u);
        }
    }
    workgroupBarrier();
    if local < 32u {
        let count = atomicLoad(&bins[local]);
        if count > 0u {
            atomicAdd(&histogram[plane * 32u + local], count);
        }
    }
}
