// Reads of the half-size planes around a block. Needs `half_planes` (packed bytes) and `params` with `half_width`,
// `half_height` and `half_words` (words from one plane to the next). Reads outside a plane take its nearest edge pixel.
#import bytes

const WINDOW: i32 = 16;
const UNIT: i32 = 16;

fn half_pixel(plane: u32, x: i32, y: i32) -> i32 {
    let column = u32(clamp(x, 0, i32(params.half_width) - 1));
    let row = u32(clamp(y, 0, i32(params.half_height) - 1));
    let index = row * params.half_width + column;
    return i32(byte_of(half_planes[plane * params.half_words + (index >> 2u)], index));
}

// second(p + vector) - first(p) in 1/16 level, bilinear: the weights sum to 256, the taps stay below 2^16.
fn residual(first: u32, second: u32, at: vec2<i32>, vector: vec2<i32>) -> i32 {
    let whole = at + (vector >> vec2<u32>(4u));
    let part = vector & vec2<i32>(15);
    let rest = vec2<i32>(UNIT) - part;
    let sum = rest.x * rest.y * half_pixel(second, whole.x, whole.y)
        + part.x * rest.y * half_pixel(second, whole.x + 1, whole.y)
        + rest.x * part.y * half_pixel(second, whole.x, whole.y + 1)
        + part.x * part.y * half_pixel(second, whole.x + 1, whole.y + 1);
    return ((sum + 8) >> 4u) - 16 * half_pixel(first, at.x, at.y);
}
