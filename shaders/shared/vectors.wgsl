// Flow vectors, one word each: x in the lower half, y in the upper, both signed.

fn vector_of(word: u32) -> vec2<i32> {
    let both = bitcast<i32>(word);
    return vec2<i32>((both << 16u) >> 16u, both >> 16u);
}

fn word_of(vector: vec2<i32>) -> u32 {
    return (bitcast<u32>(vector.x) & 0xffffu) | (bitcast<u32>(vector.y) << 16u);
}
