// Block vectors from the coarse search: quarter size, half size, two Lucas-Kanade steps. Twins:
// quality::motion::{refine_quarter, refine_half, refine_subpixel}. One invocation per block; budgets stand in the twin.
#import half_window

const STILL_BONUS: i32 = 64;
const MIN_TEXTURE: u32 = 4096u;

struct Params {
    first: u32, // pair of the first workgroup
    columns: u32, // blocks per row
    blocks: u32, // per pair
    coarse_columns: u32,
    coarse_rows: u32,
    half_width: u32,
    half_height: u32,
    half_words: u32, // words from one plane to the next
    quarter_width: u32,
    quarter_height: u32,
    quarter_words: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> half_planes: array<u32>;
@group(0) @binding(2) var<storage, read> quarter_planes: array<u32>;
@group(0) @binding(3) var<storage, read> coarse: array<vec2<i32>>;
// Per block: vector x and y in units, error, texture.
@group(0) @binding(4) var<storage, read_write> motion: array<vec4<i32>>;

fn quarter_pixel(plane: u32, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(params.quarter_width) - 1));
    let row = u32(clamp(y, 0, i32(params.quarter_height) - 1));
    let index = row * params.quarter_width + column;
    return i32(byte_of(quarter_planes[plane * params.quarter_words + (index >> 2u)], index));
}

fn quarter_cost(pair: u32, at: vec2<i32>, vector: vec2<i32>) -> i32 {
    var sum = 0;
    for (var y = 0; y < 8; y++) {
        for (var x = 0; x < 8; x++) {
            let p = quarter_pixel(pair, at.x + x, at.y + y);
            let q = quarter_pixel(pair + 1u, at.x + x + vector.x, at.y + y + vector.y);
            sum += abs(p - q);
        }
    }
    return sum;
}

fn half_cost(pair: u32, at: vec2<i32>, vector: vec2<i32>) -> i32 {
    var sum = 0;
    for (var y = 0; y < WINDOW; y++) {
        for (var x = 0; x < WINDOW; x++) {
            let p = half_pixel(pair, at.x + x, at.y + y);
            let q = half_pixel(pair + 1u, at.x + x + vector.x, at.y + y + vector.y);
            sum += abs(p - q);
        }
    }
    return sum;
}

fn coarse_at(pair: u32, x: i32, y: i32) -> vec2<i32> {
    let column = u32(clamp(x, 0, i32(params.coarse_columns) - 1));
    let row = u32(clamp(y, 0, i32(params.coarse_rows) - 1));
    return coarse[(pair * params.coarse_rows + row) * params.coarse_columns + column];
}

fn quarter_vector(pair: u32, column: i32, row: i32) -> vec2<i32> {
    let at = vec2<i32>(4 * column - 2, 4 * row - 2);
    var offsets = array<vec2<i32>, 5>(
        vec2<i32>(0, 0), vec2<i32>(-1, 0), vec2<i32>(1, 0), vec2<i32>(0, -1), vec2<i32>(0, 1),
    );
    var best = vec2<i32>(0, 0);
    var least = quarter_cost(pair, at, best);
    for (var i = 0; i < 5; i++) {
        let candidate = 2 * coarse_at(pair, column / 2 + offsets[i].x, row / 2 + offsets[i].y);
        let price = quarter_cost(pair, at, candidate);
        if price < least {
            best = candidate;
            least = price;
        }
    }
    let centre = best;
    for (var i = 0; i < 9; i++) {
        let candidate = centre + vec2<i32>(i % 3 - 1, i / 3 - 1);
        if i != 4 {
            let price = quarter_cost(pair, at, candidate);
            if price < least {
                best = candidate;
                least = price;
            }
        }
    }
    return best;
}

fn half_vector(pair: u32, at: vec2<i32>, centre: vec2<i32>) -> vec2<i32> {
    var best = centre;
    var least = half_cost(pair, at, centre);
    for (var i = 0; i < 9; i++) {
        let candidate = centre + vec2<i32>(i % 3 - 1, i / 3 - 1);
        if i != 4 {
            let price = half_cost(pair, at, candidate);
            if price < least {
                best = candidate;
                least = price;
            }
        }
    }
    if half_cost(pair, at, vec2<i32>(0, 0)) <= least + STILL_BONUS {
        return vec2<i32>(0, 0);
    }
    return best;
}

fn gradient(plane: u32, at: vec2<i32>) -> vec2<i32> {
    return vec2<i32>(
        half_pixel(plane, at.x + 1, at.y) - half_pixel(plane, at.x - 1, at.y),
        half_pixel(plane, at.x, at.y + 1) - half_pixel(plane, at.x, at.y - 1),
    );
}

// Structure tensor of a window: xx, xy, yy, each at most 256 * 255^2 < 2^24.
fn tensor_of(plane: u32, at: vec2<i32>) -> vec3<i32> {
    var tensor = vec3<i32>(0, 0, 0);
    for (var i = 0; i < 256; i++) {
        let g = gradient(plane, at + vec2<i32>(i % WINDOW, i / WINDOW));
        tensor += vec3<i32>(g.x * g.x, g.x * g.y, g.y * g.y);
    }
    return tensor;
}

// Sum of absolute residuals, and the products of residuals with both gradients (below 2^29).
fn match_of(pair: u32, at: vec2<i32>, vector: vec2<i32>) -> vec3<i32> {
    var sums = vec3<i32>(0, 0, 0);
    for (var i = 0; i < 256; i++) {
        let here = at + vec2<i32>(i % WINDOW, i / WINDOW);
        let r = residual(pair, pair + 1u, here, vector);
        sums += vec3<i32>(abs(r), r * gradient(pair, here));
    }
    return sums;
}

fn rounded(numerator: i32, denominator: i32) -> i32 {
    let half = denominator / 2;
    return (numerator + select(-half, half, numerator >= 0)) / denominator;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
    let pair = params.first + group.z;
    let index = group.x * 64u + local;
    if index >= params.blocks {
        return;
    }
    let column = i32(index % params.columns);
    let row = i32(index / params.columns);
    let at = vec2<i32>(8 * column - 4, 8 * row - 4);
    let start = UNIT * half_vector(pair, at, 2 * quarter_vector(pair, column, row));
    var now = match_of(pair, at, start);
    var best = start;
    var error = now.x;
    let whole = tensor_of(pair, at);
    let shift = u32(max(32 - i32(countLeadingZeros(u32(max(whole.x, whole.z)))) - 12, 0));
    let tensor = whole >> vec3<u32>(shift);
    let determinant = tensor.x * tensor.z - tensor.y * tensor.y;
    let trace = tensor.x + tensor.z;
    var texture = 0u;
    if trace != 0 {
        texture = u32(max(determinant, 0) / trace) << shift;
    }
    var steps = 0;
    if texture >= MIN_TEXTURE {
        steps = 2;
    }
    var vector = start;
    for (var i = 0; i < steps; i++) {
        let right = clamp(now.yz >> vec2<u32>(shift), vec2<i32>(-65536), vec2<i32>(65536));
        let divisor = max(determinant, 1);
        let step = vec2<i32>(
            clamp(rounded(-2 * (tensor.z * right.x - tensor.y * right.y), divisor), -UNIT, UNIT),
            clamp(rounded(-2 * (tensor.x * right.y - tensor.y * right.x), divisor), -UNIT, UNIT),
        );
        if step.x == 0 && step.y == 0 {
            break;
        }
        vector = clamp(vector + step, start - vec2<i32>(UNIT), start + vec2<i32>(UNIT));
        now = match_of(pair, at, vector);
        if now.x < error {
            best = vector;
            error = now.x;
        }
    }
    motion[pair * params.blocks + index] = vec4<i32>(best, error, bitcast<i32>(texture));
}
