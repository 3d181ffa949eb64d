// Full search of +-5 pixels at eighth size for groups of 2x2 blocks. Twin: quality::motion::search_eighth.
// One invocation per group. A cost is at most 64 * 255 + 20.
#import bytes

const RANGE: i32 = 5;

struct Params {
    first: u32,        // pair of the first workgroup
    columns: u32,      // groups of blocks per row
    groups: u32,       // of blocks, per pair
    eighth_width: u32,
    eighth_height: u32,
    eighth_words: u32, // words from one plane to the next
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> eighth_planes: array<u32>;
@group(0) @binding(2) var<storage, read_write> coarse: array<vec2<i32>>;

fn pixel(plane: u32, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(params.eighth_width) - 1));
    let row = u32(clamp(y, 0, i32(params.eighth_height) - 1));
    let index = row * params.eighth_width + column;
    return i32(byte_of(eighth_planes[plane * params.eighth_words + (index >> 2u)], index));
}

fn cost(pair: u32, at: vec2<i32>, vector: vec2<i32>) -> i32 {
    var sum = 2 * (abs(vector.x) + abs(vector.y));
    for (var y = 0; y < 8; y++) {
        for (var x = 0; x < 8; x++) {
            let p = pixel(pair, at.x + x, at.y + y);
            let q = pixel(pair + 1u, at.x + x + vector.x, at.y + y + vector.y);
            sum += abs(p - q);
        }
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let index = group.x * 64u + local;
    if index >= params.groups {
        return;
    }
    let at = vec2<i32>(4 * i32(index % params.columns) - 2, 4 * i32(index / params.columns) - 2);
    var best = vec2<i32>(0, 0);
    var least = cost(pair, at, best);
    for (var y = -RANGE; y <= RANGE; y++) {
        for (var x = -RANGE; x <= RANGE; x++) {
            let candidate = vec2<i32>(x, y);
            let price = cost(pair, at, candidate);
            if price < least {
                best = candidate;
                least = price;
            }
        }
    }
    coarse[pair * params.groups + index] = best;
}
