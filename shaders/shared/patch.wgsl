// Patches of 8x8 pixels for inverse search. Twin: quality::flow::patch; docs/flow.md has the formulas and their budgets.
// Needs `planes` (packed bytes) and `params` with `width`, `height`, `stride` (bytes from one plane to the next).
// Coordinates outside a plane are clamped at every read.
#import bytes

const UNIT: i32 = 32;
const MAX_COMPONENT: i32 = 16352;
const REGULAR: i32 = 1024;
const LONGEST_STEP: i32 = 64;
const NEW: i32 = 32;

fn pixel(plane: u32, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(params.width) - 1));
    let row = u32(clamp(y, 0, i32(params.height) - 1));
    let index = plane * params.stride + row * params.width + column;
    return i32(byte_of(planes[index >> 2u], index));
}

// Two neighbours in a row, 1/8 level.
fn across(plane: u32, x: i32, y: i32, part: i32) -> i32 {
    return ((32 - part) * pixel(plane, x, y) + part * pixel(plane, x + 1, y) + 2) >> 2u;
}

// Two rows of neighbours, 1/16 level.
fn between(upper: i32, lower: i32, part: i32) -> i32 {
    return ((32 - part) * upper + part * lower + 8) >> 4u;
}

fn bounded(vector: vec2<i32>) -> vec2<i32> {
    return clamp(vector, vec2<i32>(-MAX_COMPONENT), vec2<i32>(MAX_COMPONENT));
}

fn origin(column: i32, row: i32) -> vec2<i32> {
    return vec2<i32>(4 * column - 2, 4 * row - 2);
}

// Sums of one comparison of a patch: mean residual, cost, products of residuals with both gradients.
struct Compared {
    mean: i32,
    cost: u32,
    product: vec2<i32>,
}

fn costed(sum: i32, squares: i32) -> vec2<i32> {
    let mean = sum >> 6u;
    return vec2<i32>(mean, squares - mean * sum - mean * (sum - 64 * mean));
}

// Column by column, so that a row of taps is read once for the two rows of pixels that it serves.
fn cost_of(first: u32, second: u32, at: vec2<i32>, vector: vec2<i32>) -> u32 {
    let place = at + (vector >> vec2<u32>(5u));
    let part = vector & vec2<i32>(31);
    var sum = 0;
    var squares = 0;
    for (var x = 0; x < 8; x++) {
        var upper = across(second, place.x + x, place.y, part.x);
        for (var y = 0; y < 8; y++) {
            let lower = across(second, place.x + x, place.y + y + 1, part.x);
            let residual = between(upper, lower, part.y) - 16 * pixel(first, at.x + x, at.y + y);
            sum += residual;
            squares += residual * residual;
            upper = lower;
        }
    }
    return u32(costed(sum, squares).y);
}

fn compare(first: u32, second: u32, at: vec2<i32>, vector: vec2<i32>) -> Compared {
    let place = at + (vector >> vec2<u32>(5u));
    let part = vector & vec2<i32>(31);
    var sum = 0;
    var squares = 0;
    var product = vec2<i32>(0, 0);
    for (var x = 0; x < 8; x++) {
        var upper = across(second, place.x + x, place.y, part.x);
        var above = pixel(first, at.x + x, at.y - 1);
        var here = pixel(first, at.x + x, at.y);
        for (var y = 0; y < 8; y++) {
            let lower = across(second, place.x + x, place.y + y + 1, part.x);
            let below = pixel(first, at.x + x, at.y + y + 1);
            let beside = pixel(first, at.x + x + 1, at.y + y) - pixel(first, at.x + x - 1, at.y + y);
            let residual = between(upper, lower, part.y) - 16 * here;
            sum += residual;
            squares += residual * residual;
            product += residual * vec2<i32>(beside, below - above);
            upper = lower;
            above = here;
            here = below;
        }
    }
    let told = costed(sum, squares);
    return Compared(told.x, u32(told.y), product);
}

// What is known of a patch of the first frame: sums of its gradients, and their shifted tensor (xx, xy, yy).
struct Template {
    sum: vec2<i32>,
    tensor: vec3<i32>,
    shift: u32,
}

fn template_of(first: u32, at: vec2<i32>) -> Template {
    var sum = vec2<i32>(0, 0);
    var tensor = vec3<i32>(0, 0, 0);
    for (var i = 0; i < 64; i++) {
        let here = at + vec2<i32>(i % 8, i / 8);
        let gradient = vec2<i32>(
            pixel(first, here.x + 1, here.y) - pixel(first, here.x - 1, here.y),
            pixel(first, here.x, here.y + 1) - pixel(first, here.x, here.y - 1),
        );
        sum += gradient;
        tensor += vec3<i32>(gradient.x * gradient.x, gradient.x * gradient.y, gradient.y * gradient.y);
    }
    tensor -= vec3<i32>(sum.x * sum.x / 64, sum.x * sum.y / 64, sum.y * sum.y / 64);
    tensor += vec3<i32>(REGULAR, 0, REGULAR);
    let shift = u32(max(32 - i32(countLeadingZeros(u32(max(tensor.x, tensor.z)))) - 12, 0));
    return Template(sum, tensor >> vec3<u32>(shift), shift);
}

fn step_of(known: Template, compared: Compared) -> vec2<i32> {
    let limit = vec2<i32>(32768);
    let right = clamp((compared.product - known.sum * compared.mean) >> vec2<u32>(known.shift), -limit, limit);
    let tensor = known.tensor;
    let determinant = max(tensor.x * tensor.z - tensor.y * tensor.y, 1);
    let step = vec2<i32>(
        -4 * (tensor.z * right.x - tensor.y * right.y) / determinant,
        -4 * (tensor.x * right.y - tensor.y * right.x) / determinant,
    );
    return clamp(step, vec2<i32>(-LONGEST_STEP), vec2<i32>(LONGEST_STEP));
}

// Gauss-Newton steps from a vector while its cost falls: the best vector and its cost.
fn descend(first: u32, second: u32, at: vec2<i32>, start: vec2<i32>, iterations: u32) -> vec4<i32> {
    let known = template_of(first, at);
    var compared = compare(first, second, at, start);
    var best = start;
    var cost = compared.cost;
    for (var i = 0u; i < iterations; i++) {
        let step = step_of(known, compared);
        if step.x == 0 && step.y == 0 {
            break;
        }
        let vector = bounded(best + step);
        compared = compare(first, second, at, vector);
        if compared.cost >= cost {
            break;
        }
        best = vector;
        cost = compared.cost;
    }
    return vec4<i32>(best, bitcast<i32>(cost), 0);
}

fn is_close(a: vec2<i32>, b: vec2<i32>) -> bool {
    let apart = abs(a - b);
    return apart.x + apart.y < NEW;
}

// The cheapest of a start and four others; one near the start or near one before it in the list is passed over.
fn cheapest(first: u32, second: u32, at: vec2<i32>, start: vec2<i32>, others: array<vec2<i32>, 4>) -> vec2<i32> {
    var list = others;
    var best = start;
    var least = cost_of(first, second, at, start);
    for (var i = 0; i < 4; i++) {
        let other = list[i];
        var tried = is_close(start, other);
        for (var k = 0; k < i; k++) {
            tried = tried || is_close(list[k], other);
        }
        if !tried {
            let cost = cost_of(first, second, at, other);
            if cost < least {
                best = other;
                least = cost;
            }
        }
    }
    return best;
}
