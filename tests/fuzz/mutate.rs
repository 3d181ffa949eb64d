//! Mutations of seeds: a few of the edits that fuzzers make, drawn from one number.

use leoma::domain::random::{SPLITMIX64_STEP, splitmix64};

/// Draws inputs.
pub struct Mutator {
    state: u64,
    longest: usize,
}

/// Bytes at which formats change their mind.
const TELLING: [u8; 12] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'[', b'\\', b'=', b'\n', 0xfe];
/// Numbers that sizes and counts are replaced by.
const SIZES: [u64; 8] = [0, 1, 7, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 33, u64::MAX];

impl Mutator {
    pub fn new(seed: u64, longest: usize) -> Self {
        Self { state: seed, longest }
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(SPLITMIX64_STEP);
        splitmix64(self.state)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.draw() % count.max(1) as u64) as usize
    }

    /// One of the seeds after one to eight edits.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        // Mostly few: more leave little that reads.
        for _ in 0..=self.below(8).min(self.below(8)) {
            self.edit(&mut input, seeds);
        }
        input.truncate(self.longest);
        input
    }

    fn edit(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let (at, length) = (self.below(input.len() + 1), 1 + self.below(16));
        let end = (at + length).min(input.len());
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = TELLING[self.below(TELLING.len())],
            2 => input.truncate(at),
            3 => drop(input.drain(at..end)),
            4 => {
                let bytes: Vec<u8> = (0..length).map(|_| self.draw() as u8).collect();
                input.splice(at..at, bytes);
            }
            5 => {
                // The same again, as repeated keys and nested boxes are.
                let again = input[at..end].repeat(1 + self.below(64));
                input.splice(at..at, again);
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let to = from + self.below(other.len() - from + 1);
                input.splice(at..end, other[from..to].iter().copied());
            }
            7 => {
                let size = SIZES[self.below(SIZES.len())].to_be_bytes();
                let width = [1, 2, 4, 8][self.below(4)];
                let room = input.len().saturating_sub(at).min(width);
                input[at..at + room].copy_from_slice(&size[8 - width..][..room]);
            }
            _ => {
                // A whole number of a text, so that the rest of it still reads.
                let size = SIZES[self.below(SIZES.len())].to_string();
                let digit = |byte: &u8| byte.is_ascii_digit();
                let from = input[at..].iter().position(digit).map_or(input.len(), |found| at + found);
                let to = from + input[from..].iter().take_while(|byte| digit(byte)).count();
                input.splice(from..to, size.into_bytes());
            }
        }
    }
}
