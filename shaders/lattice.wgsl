// Vectors and fates of one pixel in 64, for the affine fit on the host. Twin: quality::temporal::affine::Lattice::of.
// One invocation per point.
#import bytes
#import vectors

struct Params {
    first: u32,       // pair of the first workgroup
    width: u32,
    height: u32,
    fates_words: u32, // per pair
    columns: u32,     // points per row
    points: u32,      // per pair
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> field: array<u32>;
@group(0) @binding(2) var<storage, read> fates: array<u32>;
// Per point: x in bits 0..15, y in bits 15..30, both signed, bit 30 set where the pixel is seen in the other frame.
@group(0) @binding(3) var<storage, read_write> samples: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let point = group.x * 64u + local;
    if point >= params.points {
        return;
    }
    let x = min(8u * (point % params.columns) + 4u, params.width - 1u);
    let y = min(8u * (point / params.columns) + 4u, params.height - 1u);
    let index = y * params.width + x;
    let vector = vector_of(field[pair * params.width * params.height + index]);
    let fate = byte_of(fates[pair * params.fates_words + (index >> 2u)], index);
    let parts = vec2<u32>(bitcast<u32>(vector.x) & 0x7fffu, bitcast<u32>(vector.y) & 0x7fffu);
    samples[pair * params.points + point] = parts.x | (parts.y << 15u) | (select(0u, 1u, fate == 0u) << 30u);
}
