// Phases of a 16-pixel grid and rings beside strong edges of sampled planes. Twin: quality::looks::luma::luma_sums, which
// has the definitions. One workgroup per 16 columns, all rows: each invocation owns one place of the grid. With at
// most 256 tiles above one another a workgroup's rings stay within +-2^30.
#import sampled

// Per sampled plane 258 rows: 256 phases, rings, sides.
@group(0) @binding(2) var<storage, read_write> partials: array<i32>;

const ROWS: u32 = 258u;
const CUT: i32 = 32;
const EDGE: i32 = 48;
const QUIET: i32 = 24;
const NEAR: i32 = 3;
const FAR: i32 = 9;
const GROUND: i32 = 13;
const SPAN: i32 = 4;
const REACH: u32 = 17u;

var<workgroup> ring_sum: atomic<i32>;
var<workgroup> side_count: atomic<i32>;

fn pixel(index: i32) -> i32 {
    return i32(byte_of(planes[u32(index) >> 2u], u32(index)));
}

fn gradient(at: i32, apart: i32) -> i32 {
    return abs(pixel(at + apart) - pixel(at - apart));
}

fn seconds(at: i32, apart: i32, nearest: i32) -> i32 {
    var sum = 0;
    for (var away = nearest; away < nearest + SPAN; away++) {
        let here = at + away * apart;
        sum += abs(pixel(here - abs(apart)) + pixel(here + abs(apart)) - 2 * pixel(here));
    }
    return sum;
}

// Rings on both sides of an edge, and the sides judged.
fn rings(at: i32, apart: i32) -> vec2<i32> {
    var found = vec2<i32>(0, 0);
    let here = gradient(at, apart);
    if here >= EDGE && here > gradient(at - apart, apart) && here >= gradient(at + apart, apart) {
        for (var side = -1; side <= 1; side += 2) {
            let to = side * apart;
            if seconds(at, to, FAR) <= QUIET {
                found += vec2<i32>(seconds(at, to, NEAR) - seconds(at, to, GROUND), 1);
            }
        }
    }
    return found;
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = params.first + group.z;
    let x = group.x * 16u + place.x;
    let width = i32(params.width);
    var phase = 0;
    var found = vec2<i32>(0, 0);
    if x < params.width {
        for (var y = place.y; y < params.height; y += 16u) {
            let at = i32(sample * params.step * params.stride + y * params.width + x);
            if x >= 1u && y >= 1u && x + 1u < params.width && y + 1u < params.height {
                let around = pixel(at - 1) + pixel(at + 1) + pixel(at - width) + pixel(at + width);
                phase += clamp(4 * pixel(at) - around, -CUT, CUT);
            }
            if x >= REACH && x + REACH < params.width {
                found += rings(at, 1);
            }
            if y >= REACH && y + REACH < params.height {
                found += rings(at, width);
            }
        }
    }
    if found.y > 0 {
        atomicAdd(&ring_sum, found.x);
        atomicAdd(&side_count, found.y);
    }
    partials[(sample * ROWS + local) * params.tiles + group.x] = phase;
    workgroupBarrier();
    if local == 0u {
        partials[(sample * ROWS + 256u) * params.tiles + group.x] = atomicLoad(&ring_sum);
        partials[(sample * ROWS + 257u) * params.tiles + group.x] = atomicLoad(&side_count);
    }
}
