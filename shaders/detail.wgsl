// Laplacian energy and luma sum of 16x16 tiles. Twins: quality::detail::{laplacian_energy, luma_sum}.
// A response lies within -1020..=1020, so a tile's energy stays below 2^28.
#import bytes

struct Params {
    first: u32,   // plane of the first workgroup
    width: u32,
    height: u32,
    stride: u32,  // bytes from one plane to the next
    columns: u32, // tiles per row of tiles
    tiles: u32,   // per plane
    offset: u32,  // bytes before the first plane
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
// Per plane one row of energies, one row of luma sums.
@group(0) @binding(2) var<storage, read_write> partials: array<u32>;

var<workgroup> energy: atomic<u32>;
var<workgroup> luma: atomic<u32>;

fn pixel(index: u32) -> i32 {
    return i32(byte_of(planes[index >> 2u], index));
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let plane = params.first + group.z;
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x < params.width && y < params.height {
        let at = params.offset + plane * params.stride + y * params.width + x;
        let here = pixel(at);
        atomicAdd(&luma, u32(here));
        if x >= 1u && y >= 1u && x + 1u < params.width && y + 1u < params.height {
            let around = pixel(at - 1u) + pixel(at + 1u) + pixel(at - params.width) + pixel(at + params.width);
            let response = 4 * here - around;
            atomicAdd(&energy, u32(response * response));
        }
    }
    workgroupBarrier();
    if local == 0u {
        let tile = group.y * params.columns + group.x;
        partials[2u * plane * params.tiles + tile] = atomicLoad(&energy);
        partials[(2u * plane + 1u) * params.tiles + tile] = atomicLoad(&luma);
    }
}
