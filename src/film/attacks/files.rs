//! How attacks' files are made.

use super::Attack;

/// Share of the file before which damage starts, and its length.
const DAMAGE_START: (usize, usize) = (3, 5);
const DAMAGE_BYTES: usize = 2048;

/// How the file of an answer is made.
#[derive(Clone, Copy)]
pub enum File {
    /// Its pictures are encoded like any answer's.
    Encoded,
    /// Its pictures are encoded or kept otherwise.
    Otherwise(FileTrick),
    /// It copies the answer of another miner of the round.
    Copied(Copied),
}

/// A file made otherwise.
#[derive(Clone, Copy)]
pub struct FileTrick {
    /// Frames per second as parts of the asked rate.
    pub rate: (u32, u32),
    /// Encoder arguments.
    pub arguments: &'static [&'static str],
    /// What is done to the bytes.
    pub spoil: fn(&[u8]) -> Vec<u8>,
}

/// What a copy shares with its original.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copied {
    /// The file.
    File,
    /// The decoded pictures, in another file.
    Pictures,
    /// The pictures before another encode.
    Encoded,
}

const fn trick(rate: (u32, u32), arguments: &'static [&'static str]) -> File {
    File::Otherwise(FileTrick { rate, arguments, spoil: <[u8]>::to_vec })
}

const fn spoiled(spoil: fn(&[u8]) -> Vec<u8>) -> File {
    let arguments = &["-pix_fmt", "yuv420p", "-movflags", "+faststart"];
    File::Otherwise(FileTrick { rate: (1, 1), arguments, spoil })
}

pub(super) fn of(attack: Attack, variant: usize) -> File {
    const PLAIN: &[&str] = &["-pix_fmt", "yuv420p"];
    match (attack, variant) {
        (Attack::Copy, 0) => File::Copied(Copied::File),
        (Attack::Copy, _) => File::Copied(Copied::Pictures),
        (Attack::Reencode, _) => File::Copied(Copied::Encoded),
        (Attack::Rate, 0) => trick((1, 2), PLAIN),
        (Attack::Rate, 1) => trick((3, 2), PLAIN),
        (Attack::Rate, _) => trick((2, 1), PLAIN),
        (Attack::Samples, 0) => trick((1, 1), &["-pix_fmt", "yuv444p"]),
        (Attack::Samples, 1) => trick((1, 1), &["-pix_fmt", "yuv422p"]),
        (Attack::Samples, _) => trick((1, 1), &["-pix_fmt", "yuv420p10le"]),
        (Attack::OtherSize, 0) => trick((1, 1), &["-vf", "scale=trunc(iw/4)*2:-2", "-pix_fmt", "yuv420p"]),
        (Attack::Spoiled, 0) => spoiled(damage),
        (Attack::Spoiled, 1) => spoiled(|file| file[..file.len() / 2].to_vec()),
        (Attack::Spoiled, _) => spoiled(|file| (0..file.len()).map(|k| (k * 131 % 251) as u8).collect()),
        _ => File::Encoded,
    }
}

/// The file with a run of its pictures' bytes overwritten. The index must stand in front.
pub fn damage(file: &[u8]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let start = bytes.len() * DAMAGE_START.0 / DAMAGE_START.1;
    let end = (start + DAMAGE_BYTES).min(bytes.len());
    bytes[start..end].iter_mut().for_each(|byte| *byte ^= 0xa5);
    bytes
}
