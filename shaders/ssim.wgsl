// Structural similarity with an 11x11 Gaussian window, summed over tiles of 16x16 windows. Twin: quality::ssim::ssim.
// Horizontal sums stay below 2^30; window sums, products of means and variances take 64 bits (shared/wide.wgsl).
#import bytes
#import wide

const RADIUS2: u32 = 10u; // twice the radius: pixels that a tile reads beyond its own side
const SIDE: u32 = 26u;    // 16 windows and what they read beyond
const C1: u32 = 26634u;   // (0.01 * 255)^2 with 12 fractional bits
const C2: u32 = 239708u;  // (0.03 * 255)^2

struct Params {
    first: u32,   // pair of the first workgroup
    lag: u32,     // planes from the first to the second of a pair
    width: u32,
    height: u32,
    stride: u32,  // bytes from one plane to the next
    columns: u32, // tiles per row of tiles
    tiles: u32,   // per pair
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> planes: array<u32>;
@group(0) @binding(2) var<storage, read_write> partials: array<i32>;

// Both pixels of a place, the second in the upper half.
var<workgroup> tile: array<u32, 676>;
// Horizontal sums of a, b, aa, bb, ab: 26 rows of 16 windows.
var<workgroup> sums: array<array<u32, 416>, 5>;
var<workgroup> total: atomic<i32>;

fn weight(offset: u32) -> u32 {
    var weights = array<u32, 11>(17u, 124u, 590u, 1792u, 3490u, 4358u, 3490u, 1792u, 590u, 124u, 17u);
    return weights[offset];
}

fn pixel(index: u32) -> u32 {
    return byte_of(planes[index >> 2u], index);
}

// (value + 2^27) >> 28 of a signed 64-bit value whose result fits 32 bits.
fn q40_to_q12(value: vec2<u32>) -> i32 {
    return bitcast<i32>(wide_shift_right(wide_add(value, vec2<u32>(1u << 27u, 0u)), 28u).x);
}

// round(numerator * 2^20 / denominator), halves away from zero, for 0 < denominator < 2^30, by long division.
fn quotient(numerator: i32, denominator: u32) -> i32 {
    let magnitude = u32(abs(numerator));
    var result = magnitude / denominator;
    var rest = magnitude % denominator;
    for (var bit = 0u; bit < 20u; bit++) {
        rest <<= 1u;
        result <<= 1u;
        if rest >= denominator {
            rest -= denominator;
            result |= 1u;
        }
    }
    if rest + denominator / 2u >= denominator {
        result += 1u;
    }
    return select(i32(result), -i32(result), numerator < 0);
}

// Q20 value of one window from its Q28 moments.
fn similarity(moments: array<vec2<u32>, 5>) -> i32 {
    let mean_a = wide_shift_right(moments[0], 8u).x; // Q20, below 2^28
    let mean_b = wide_shift_right(moments[1], 8u).x;
    let square_a = wide_multiply(mean_a, mean_a);
    let square_b = wide_multiply(mean_b, mean_b);
    let cross = wide_multiply(mean_a, mean_b);
    let variance_a = max(q40_to_q12(wide_subtract(wide_shift_left(moments[2], 12u), square_a)), 0);
    let variance_b = max(q40_to_q12(wide_subtract(wide_shift_left(moments[3], 12u), square_b)), 0);
    let covariance = q40_to_q12(wide_subtract(wide_shift_left(moments[4], 12u), cross));
    let luminance = quotient(
        2 * q40_to_q12(cross) + i32(C1),
        u32(q40_to_q12(square_a)) + u32(q40_to_q12(square_b)) + C1,
    );
    let structure = quotient(2 * covariance + i32(C2), u32(variance_a) + u32(variance_b) + C2);
    var product = wide_multiply(u32(luminance), u32(abs(structure)));
    if structure < 0 {
        product = wide_negate(product);
    }
    return bitcast<i32>(wide_shift_right(wide_add(product, vec2<u32>(1u << 19u, 0u)), 20u).x);
}

@compute @workgroup_size(16, 16)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_id) place: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let pair = params.first + group.z;
    let first = pair * params.stride;
    let second = (pair + params.lag) * params.stride;
    for (var i = local; i < SIDE * SIDE; i += 256u) {
        let x = min(group.x * 16u + i % SIDE, params.width - 1u);
        let y = min(group.y * 16u + i / SIDE, params.height - 1u);
        let at = y * params.width + x;
        tile[i] = pixel(first + at) | (pixel(second + at) << 16u);
    }
    workgroupBarrier();
    for (var i = local; i < SIDE * 16u; i += 256u) {
        let start = (i / 16u) * SIDE + i % 16u;
        var row = array<u32, 5>(0u, 0u, 0u, 0u, 0u);
        for (var k = 0u; k < 11u; k++) {
            let a = tile[start + k] & 0xffffu;
            let b = tile[start + k] >> 16u;
            let w = weight(k);
            row[0] += w * a;
            row[1] += w * b;
            row[2] += w * a * a;
            row[3] += w * b * b;
            row[4] += w * a * b;
        }
        for (var m = 0u; m < 5u; m++) {
            sums[m][i] = row[m];
        }
    }
    workgroupBarrier();
    let x = group.x * 16u + place.x;
    let y = group.y * 16u + place.y;
    if x + RADIUS2 < params.width && y + RADIUS2 < params.height {
        var moments: array<vec2<u32>, 5>;
        for (var m = 0u; m < 5u; m++) {
            var moment = vec2<u32>(0u, 0u);
            for (var k = 0u; k < 11u; k++) {
                moment = wide_add(moment, wide_multiply(sums[m][(place.y + k) * 16u + place.x], weight(k)));
            }
            moments[m] = moment;
        }
        atomicAdd(&total, similarity(moments));
    }
    workgroupBarrier();
    if local == 0u {
        partials[pair * params.tiles + group.y * params.columns + group.x] = atomicLoad(&total);
    }
}
