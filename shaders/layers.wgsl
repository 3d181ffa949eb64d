// What fitted affine layers explain of every block's pixels. Twin: quality::layers::pixel_evidence; the fit itself runs
// on the host in wide integers. One invocation per block, sums of 64 blocks.
#import half_window

const SLACK: i32 = 3072;
const RESIDUAL_CAP: i32 = 128;

struct Params {
    first: u32,   // pair of the first workgroup
    columns: u32, // blocks per row
    blocks: u32,  // per pair
    groups: u32,  // workgroups per pair
    half_width: u32,
    half_height: u32,
    half_words: u32, // words from one plane to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> half_planes: array<u32>;
@group(0) @binding(2) var<storage, read> motion: array<vec4<i32>>;
// Per block the vectors of three layers, the dominant one first: x in the lower half word, y in the upper.
@group(0) @binding(3) var<storage, read> layers: array<u32>;
// Per pair three rows: explained blocks, residual beyond the dominant motion, residual beyond all layers.
@group(0) @binding(4) var<storage, read_write> partials: array<u32>;

var<workgroup> explained: atomic<u32>;
var<workgroup> affine_residual: atomic<u32>;
var<workgroup> layer_residual: atomic<u32>;

fn layer_vector(index: u32, layer: u32) -> vec2<i32> {
    let packed = bitcast<i32>(layers[3u * index + layer]);
    return vec2<i32>((packed << 16u) >> 16u, packed >> 16u);
}

// Sum of absolute residuals over one 4x4 part of the window.
fn part_error(pair: u32, at: vec2<i32>, part: i32, vector: vec2<i32>) -> i32 {
    let corner = at + 4 * vec2<i32>(part % 4, part / 4);
    var sum = 0;
    for (var i = 0; i < 16; i++) {
        sum += abs(residual(pair, pair + 1u, corner + vec2<i32>(i % 4, i / 4), vector));
    }
    return sum;
}

fn beyond(own: vec2<i32>, vector: vec2<i32>) -> i32 {
    let apart = abs(own - vector);
    return min(apart.x + apart.y, RESIDUAL_CAP);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let index = group.x * 64u + local;
    if index < params.blocks {
        let place = pair * params.blocks + index;
        let block = motion[place];
        let at = vec2<i32>(8 * i32(index % params.columns) - 4, 8 * i32(index / params.columns) - 4);
        let allowed = block.z + block.z / 2 + SLACK;
        let dominant = layer_vector(place, 0u);
        var total = 0;
        for (var part = 0; part < 16; part++) {
            total += part_error(pair, at, part, dominant);
        }
        if total <= allowed {
            atomicAdd(&explained, 1u);
        } else {
            let second = layer_vector(place, 1u);
            let third = layer_vector(place, 2u);
            let still = vec2<i32>(0, 0);
            total = 0;
            for (var part = 0; part < 16; part++) {
                let moving = min(part_error(pair, at, part, dominant), part_error(pair, at, part, second));
                let other = min(part_error(pair, at, part, third), part_error(pair, at, part, still));
                total += min(moving, other);
            }
            let alone = beyond(block.xy, dominant);
            atomicAdd(&affine_residual, u32(alone));
            if total > allowed {
                let nearest = min(min(alone, beyond(block.xy, second)), min(beyond(block.xy, third), beyond(block.xy, still)));
                atomicAdd(&layer_residual, u32(nearest));
            }
        }
    }
    workgroupBarrier();
    if local == 0u {
        let row = 3u * pair * params.groups + group.x;
        partials[row] = atomicLoad(&explained);
        partials[row + params.groups] = atomicLoad(&affine_residual);
        partials[row + 2u * params.groups] = atomicLoad(&layer_residual);
    }
}
