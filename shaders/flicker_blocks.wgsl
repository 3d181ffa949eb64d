// Second difference of brightness in time along the motion, per 16x16 block. Twin:
// quality::temporal::warp::flicker_blocks. One workgroup per block; a block's sum lies within +-2^21.
#import bytes

struct Params {
    first: u32,        // triple of the first workgroup: frames t, t + 1, t + 2, seen from t + 1
    width: u32,
    height: u32,
    stride: u32,       // bytes from one plane to the next
    warped_words: u32, // per pair
    fates_words: u32,  // per pair
    columns: u32,      // blocks per row
    blocks: u32,       // per triple
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
// The next frame, warped to the first frame of each pair, and the fates of the first frame's pixels.
@group(0) @binding(2) var<storage, read> after: array<u32>;
@group(0) @binding(3) var<storage, read> after_fates: array<u32>;
// The first frame of each pair, warped to the second, and the fates of the second frame's pixels.
@group(0) @binding(4) var<storage, read> before: array<u32>;
@group(0) @binding(5) var<storage, read> before_fates: array<u32>;
// Per block: pixels seen in both neighbours, signed sum.
@group(0) @binding(6) var<storage, read_write> sums: array<i32>;

var<workgroup> seen: atomic<i32>;
var<workgroup> second: atomic<i32>;

fn half_of(word: u32, index: u32) -> i32 {
    return i32((word >> (16u * (index & 1u))) & 0xffffu);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let triple = params.first + group.z;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < params.width && y < params.height {
        let index = y * params.width + x;
        let next = (triple + 1u) * params.fates_words + (index >> 2u);
        let last = triple * params.fates_words + (index >> 2u);
        if (byte_of(after_fates[next], index) | byte_of(before_fates[last], index)) == 0u {
            let at = (triple + 1u) * params.stride + index;
            let here = i32(byte_of(planes[at >> 2u], at));
            let ahead = half_of(after[(triple + 1u) * params.warped_words + (index >> 1u)], index);
            let behind = half_of(before[triple * params.warped_words + (index >> 1u)], index);
            atomicAdd(&seen, 1);
            atomicAdd(&second, ahead + behind - 32 * here);
        }
    }
    workgroupBarrier();
    if local == 0u {
        let block = triple * params.blocks + group.y * params.columns + group.x;
        sums[2u * block] = atomicLoad(&seen);
        sums[2u * block + 1u] = atomicLoad(&second);
    }
}
