// Largest r with r * r <= value, for value below 2^30.
fn square_root(value: u32) -> u32 {
    var root = 0u;
    for (var bit = 1u << 14u; bit > 0u; bit >>= 1u) {
        let candidate = root | bit;
        if candidate * candidate <= value {
            root = candidate;
        }
    }
    return root;
}
