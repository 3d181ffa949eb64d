//! Flow of raw luma pairs with our twins, for `scripts/flow-accuracy.py`.
//!
//! `flow-accuracy WIDTH HEIGHT FIRST SECOND OUT [REPEATS]`: FIRST and SECOND are `[height, width]` bytes; OUT gets
//! `[height, width, 2]` little-endian i16 in 1/32 pixel. Prints the best time of one direction in milliseconds,
//! pyramids included: one pair alone, and per pair where two threads take pairs.

use std::{error::Error, fs, hint::black_box, time::Instant};

use leoma_core::quality::flow::{Pyramid, flow};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, width, height, first, second, out, rest @ ..] = args.as_slice() else {
        return Err("usage: flow-accuracy WIDTH HEIGHT FIRST SECOND OUT [REPEATS]".into());
    };
    let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
    let (first, second) = (fs::read(first)?, fs::read(second)?);
    let run = || flow(&Pyramid::new(&first, width, height), &Pyramid::new(&second, width, height));
    let field = run();
    let bytes = field.x.iter().zip(&field.y).flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()]);
    fs::write(out, bytes.flatten().collect::<Vec<u8>>())?;
    let repeats: usize = rest.first().map_or(Ok(0), |text| text.parse())?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    let (mut alone, mut together) = (f64::MAX, f64::MAX);
    for _ in 0..repeats {
        let start = Instant::now();
        black_box(run());
        alone = alone.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        pool.install(|| {
            (0..PAIRS).into_par_iter().for_each(|_| {
                black_box(run());
            })
        });
        together = together.min(start.elapsed().as_secs_f64() / PAIRS as f64);
    }
    println!("{:.3} {:.3}", alone * 1e3, together * 1e3);
    Ok(())
}

/// Pairs that are taken together.
const PAIRS: usize = 4;
