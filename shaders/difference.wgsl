// Absolute difference of two planes: sums of 16x16 blocks and, when asked for, the histogram.
// Twin: quality::difference::difference. One workgroup per block; a block's sum is at most 65,280.
#import bytes

struct Params {
    first: u32,     // pair of the first workgroup
    lag: u32,       // planes from the first to the second of a pair
    width: u32,
    height: u32,
    stride: u32,    // bytes from one plane to the next
    columns: u32,   // blocks per row of blocks
    blocks: u32,    // per plane
    histogram: u32, // 1: count the histogram too
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read_write> block_sums: array<u32>;
@group(0) @binding(3) var<storage, read_write> histogram: array<atomic<u32>>;

var<workgroup> total: atomic<u32>;
var<workgroup> bins: array<atomic<u32>, 256>;

fn pixel(index: u32) -> u32 {
    return byte_of(planes[index >> 2u], index);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let pair = params.first + group.z;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < params.width && y < params.height {
        let at = y * params.width + x;
        let a = pixel(pair * params.stride + at);
        let b = pixel((pair + params.lag) * params.stride + at);
        let apart = max(a, b) - min(a, b);
        atomicAdd(&total, apart);
        if params.histogram == 1u {
            atomicAdd(&bins[apart], 1u);
        }
    }
    workgroupBarrier();
    if local == 0u {
        block_sums[pair * params.blocks + group.y * params.columns + group.x] = atomicLoad(&total);
    }
    if params.histogram == 1u {
        let count = atomicLoad(&bins[local]);
        if count > 0u {
            atomicAdd(&histogram[pair * 256u + local], count);
        }
    }
}
