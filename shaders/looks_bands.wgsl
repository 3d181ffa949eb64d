// Steps between flat regions in 16x16 tiles of sampled planes. Twin: quality::looks::bands, which has the definition.
// A tile's value is at most 15 * 128.
#import sampled

// Per sampled plane and tile its value.
@group(0) @binding(2) var<storage, read_write> values: array<u32>;

var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> strongest: atomic<u32>;

fn pixel(start: u32, x: u32, y: u32) -> u32 {
    let index = start + min(y, params.height - 1u) * params.width + min(x, params.width - 1u);
    return byte_of(planes[index >> 2u], index);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = params.first + group.z;
    let start = sample * params.step * params.stride;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < params.width && y < params.height {
        let here = pixel(start, x, y);
        let left = pixel(start, max(x, 1u) - 1u, y);
        let above = pixel(start, x, max(y, 1u) - 1u);
        if here == left && here == above && here == pixel(start, x + 1u, y) && here == pixel(start, x, y + 1u) {
            atomicAdd(&histogram[here], 1u);
        }
    }
    workgroupBarrier();
    let count = atomicLoad(&histogram[local]);
    if count > 0u {
        var between = 0u;
        var most = 0u;
        for (var wide = 0u; wide < 16u; wide++) {
            let level = local + 1u + wide;
            if level < 256u {
                let other = atomicLoad(&histogram[level]);
                let least = min(count, other);
                if 4u * between <= least {
                    most = max(most, wide * least);
                }
                between += other;
            }
        }
        atomicMax(&strongest, most);
    }
    workgroupBarrier();
    if local == 0u {
        values[sample * params.tiles + group.y * params.columns + group.x] = atomicLoad(&strongest);
    }
}
