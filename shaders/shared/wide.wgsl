// 64-bit integers as vec2<u32>(low, high) in two's complement: WGSL has none of its own.

fn wide_of_signed(value: i32) -> vec2<u32> {
    return vec2<u32>(bitcast<u32>(value), bitcast<u32>(value >> 31u));
}

fn wide_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn wide_negate(a: vec2<u32>) -> vec2<u32> {
    return wide_add(~a, vec2<u32>(1u, 0u));
}

fn wide_subtract(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return wide_add(a, wide_negate(b));
}

fn wide_is_negative(a: vec2<u32>) -> bool {
    return (a.y >> 31u) == 1u;
}

// Product of two unsigned 32-bit numbers, by halves of 16 bits.
fn wide_multiply(a: u32, b: u32) -> vec2<u32> {
    let low_a = a & 0xffffu;
    let high_a = a >> 16u;
    let low_b = b & 0xffffu;
    let high_b = b >> 16u;
    let low = low_a * low_b;
    let cross = high_a * low_b + (low >> 16u); // at most 0xffff * 0xffff + 0xffff < 2^32
    let middle = low_a * high_b + (cross & 0xffffu);
    return vec2<u32>((middle << 16u) | (low & 0xffffu), high_a * high_b + (cross >> 16u) + (middle >> 16u));
}

// Shifts by 1 to 31 bits; to the right with the sign.
fn wide_shift_left(a: vec2<u32>, bits: u32) -> vec2<u32> {
    return vec2<u32>(a.x << bits, (a.y << bits) | (a.x >> (32u - bits)));
}

fn wide_shift_right(a: vec2<u32>, bits: u32) -> vec2<u32> {
    return vec2<u32>((a.x >> bits) | (a.y << (32u - bits)), bitcast<u32>(bitcast<i32>(a.y) >> bits));
}
