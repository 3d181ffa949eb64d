// Sums of Y, U and V over blocks of 16x16 pixels (8x8 chroma samples). Twin: quality::mosaic::cells. One workgroup per
// block; a luma sum is at most 65,280.
#import bytes

struct Params {
    first: u32,   // frame of the first workgroup
    width: u32,   // of the luma plane, even
    height: u32,  // of the luma plane, even
    stride: u32,  // bytes from one frame to the next
    columns: u32, // blocks per row of blocks
    blocks: u32,  // per frame
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<u32>;
// Per frame and block three sums: Y, U, V.
@group(0) @binding(2) var<storage, read_write> cells: array<u32>;

var<workgroup> sums: array<atomic<u32>, 3>;

fn pixel(index: u32) -> u32 {
    return byte_of(frames[index >> 2u], index);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let frame = params.first + group.z;
    let start = frame * params.stride;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < params.width && y < params.height {
        atomicAdd(&sums[0], pixel(start + y * params.width + x));
    }
    // The first quarter of the invocations takes the chroma samples of the same area.
    let half = vec2<u32>(params.width / 2u, params.height / 2u);
    let sample = vec2<u32>(group.x * 8u + place.x, group.y * 8u + place.y);
    if place.x < 8u && place.y < 8u && sample.x < half.x && sample.y < half.y {
        let at = start + params.width * params.height + sample.y * half.x + sample.x;
        atomicAdd(&sums[1], pixel(at));
        atomicAdd(&sums[2], pixel(at + half.x * half.y));
    }
    workgroupBarrier();
    if local < 3u {
        let block = group.y * params.columns + group.x;
        cells[(frame * params.blocks + block) * 3u + local] = atomicLoad(&sums[local]);
    }
}
