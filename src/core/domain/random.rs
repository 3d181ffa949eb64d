//! Numbers that follow from a seed, the same on every machine.

/// What SplitMix64 adds to its state before each number (Steele, Lea and Flood, 2014).
pub const SPLITMIX64_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number that SplitMix64 gives for a state to which its step was added: uniform over all `u64`.
pub fn splitmix64(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_are_those_of_the_published_generator() {
        let numbers = [1u64, 2, 3].map(|step| splitmix64(SPLITMIX64_STEP.wrapping_mul(step)));
        assert_eq!(numbers, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }
}
