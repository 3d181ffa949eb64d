//! Text written on a clip, as a watermark or to please a model that reads pictures.

use super::painted;
use crate::quality::frame::Yuv420Clip;

/// Columns and rows of a letter.
const LETTER: (usize, usize) = (5, 7);
/// Luma of ink and of its outline; both have no colour.
const INK: (f32, f32) = (235.0, 16.0);

/// Rows of a letter from the top, five bits each, the leftmost the highest; blank for what has none.
fn letter(c: char) -> [u8; LETTER.1] {
    match c.to_ascii_uppercase() {
        'A' => [14, 17, 17, 31, 17, 17, 17],
        'B' => [30, 17, 17, 30, 17, 17, 30],
        'C' => [14, 17, 16, 16, 16, 17, 14],
        'D' => [30, 17, 17, 17, 17, 17, 30],
        'E' => [31, 16, 16, 30, 16, 16, 31],
        'F' => [31, 16, 16, 30, 16, 16, 16],
        'G' => [14, 17, 16, 23, 17, 17, 14],
        'H' => [17, 17, 17, 31, 17, 17, 17],
        'I' => [14, 4, 4, 4, 4, 4, 14],
        'J' => [7, 2, 2, 2, 2, 18, 12],
        'K' => [17, 18, 20, 24, 20, 18, 17],
        'L' => [16, 16, 16, 16, 16, 16, 31],
        'M' => [17, 27, 21, 21, 17, 17, 17],
        'N' => [17, 25, 21, 19, 17, 17, 17],
        'O' => [14, 17, 17, 17, 17, 17, 14],
        'P' => [30, 17, 17, 30, 16, 16, 16],
        'Q' => [14, 17, 17, 17, 21, 18, 13],
        'R' => [30, 17, 17, 30, 20, 18, 17],
        'S' => [15, 16, 16, 14, 1, 1, 30],
        'T' => [31, 4, 4, 4, 4, 4, 4],
        'U' => [17, 17, 17, 17, 17, 17, 14],
        'V' => [17, 17, 17, 17, 17, 10, 4],
        'W' => [17, 17, 17, 21, 21, 27, 17],
        'X' => [17, 17, 10, 4, 10, 17, 17],
        'Y' => [17, 17, 10, 4, 4, 4, 4],
        'Z' => [31, 1, 2, 4, 8, 16, 31],
        '0' => [14, 17, 19, 21, 25, 17, 14],
        '1' => [4, 12, 4, 4, 4, 4, 14],
        '2' => [14, 17, 1, 6, 8, 16, 31],
        '3' => [31, 2, 4, 2, 1, 17, 14],
        '4' => [2, 6, 10, 18, 31, 2, 2],
        '5' => [31, 16, 30, 1, 1, 17, 14],
        '6' => [6, 8, 16, 30, 17, 17, 14],
        '7' => [31, 1, 2, 4, 8, 8, 8],
        '8' => [14, 17, 17, 14, 17, 17, 14],
        '9' => [14, 17, 17, 15, 1, 2, 12],
        '.' => [0, 0, 0, 0, 0, 12, 12],
        ',' => [0, 0, 0, 0, 12, 4, 8],
        _ => [0; LETTER.1],
    }
}

/// Lines of text on a frame, in luma pixels.
struct Writing {
    lines: Vec<Vec<[u8; LETTER.1]>>,
    /// Pixels per dot of a letter.
    dot: usize,
    left: usize,
    top: usize,
}

impl Writing {
    /// Writes as much of a text as fits `columns` by `rows` letters.
    fn new(text: &str, (columns, rows): (usize, usize), dot: usize, left: usize, top: usize) -> Self {
        let mut lines: Vec<Vec<[u8; LETTER.1]>> = vec![Vec::new()];
        for word in text.split_whitespace() {
            let line = lines.last().map_or(0, Vec::len);
            if line > 0 && line + word.chars().count() > columns {
                lines.push(Vec::new());
            }
            if let Some(line) = lines.last_mut() {
                line.extend(word.chars().chain([' ']).map(letter));
            }
        }
        lines.iter_mut().for_each(|line| line.truncate(columns));
        lines.truncate(rows);
        Self { lines, dot, left, top }
    }

    /// Whether a letter's dot covers a pixel.
    fn covers(&self, x: isize, y: isize) -> bool {
        let (Ok(x), Ok(y)) =
            (usize::try_from(x - self.left as isize), usize::try_from(y - self.top as isize))
        else {
            return false;
        };
        let (column, row) = (x / self.dot, y / self.dot);
        let cell = (LETTER.0 + 1, LETTER.1 + 2);
        let Some(letter) = self.lines.get(row / cell.1).and_then(|line| line.get(column / cell.0)) else {
            return false;
        };
        let (column, row) = (column % cell.0, row % cell.1);
        column < LETTER.0 && row < LETTER.1 && letter[row] >> (LETTER.0 - 1 - column) & 1 == 1
    }

    /// Ink, outline or nothing at a pixel.
    fn value(&self, x: usize, y: usize) -> Option<f32> {
        let (x, y, reach) = (x as isize, y as isize, (self.dot / 2).max(1) as isize);
        if self.covers(x, y) {
            return Some(INK.0);
        }
        let around = [(-reach, 0), (reach, 0), (0, -reach), (0, reach)];
        around.iter().any(|(dx, dy)| self.covers(x + dx, y + dy)).then_some(INK.1)
    }
}

/// What is written when the prompt is empty, and the mark of the pale variant.
const MARK: &str = "LEOMA AI";

/// Where the prompt stands at the foot, in small letters.
fn foot(prompt: &str, width: usize, height: usize) -> Writing {
    let dot = (width / 208).max(1);
    Writing::new(prompt, (fitting(width, dot), 2), dot, width / 20, height - 20 * dot)
}

/// Where the mark stands in a corner.
fn corner(width: usize, height: usize) -> Writing {
    let dot = (width / 160).max(1);
    Writing::new(MARK, (8, 1), dot, width - 50 * dot, height / 16)
}

/// Letters of so many pixels a dot that fit a line.
fn fitting(width: usize, dot: usize) -> usize {
    (width * 9 / 10 / (6 * dot)).max(1)
}

fn or_mark(prompt: &str) -> &str {
    if prompt.trim().is_empty() { MARK } else { prompt }
}

pub(super) fn text(clip: &Yuv420Clip, frames: usize, prompt: &str, variant: usize) -> Yuv420Clip {
    let (width, height) = (clip.width(), clip.height());
    let prompt = or_mark(prompt);
    let (writing, strength) = match variant {
        0 => (foot(prompt, width, height), 1.0),
        1 => {
            let dot = (width / 96).max(1);
            (Writing::new(prompt, (fitting(width, dot), 3), dot, width / 20, height * 3 / 10), 1.0)
        }
        _ => (corner(width, height), 0.5),
    };
    laid(clip, frames, &writing, |_| strength)
}

/// Writing that the first frame does not have: the prompt from a quarter on; a mark that fades in over half of the time; the
/// prompt now and then, eight frames each.
pub(super) fn late(clip: &Yuv420Clip, frames: usize, prompt: &str, variant: usize) -> Yuv420Clip {
    let (width, height) = (clip.width(), clip.height());
    let prompt = foot(or_mark(prompt), width, height);
    match variant {
        0 => laid(clip, frames, &prompt, |t| if t >= frames / 4 && t > 0 { 1.0 } else { 0.0 }),
        1 => laid(clip, frames, &corner(width, height), |t| (1.6 * t as f32 / frames as f32).min(0.8)),
        _ => laid(clip, frames, &prompt, |t| if t / 8 % 2 == 1 { 1.0 } else { 0.0 }),
    }
}

/// The clip under a writing whose strength depends on the frame.
fn laid(
    clip: &Yuv420Clip,
    frames: usize,
    writing: &Writing,
    strength: impl Fn(usize) -> f32 + Sync,
) -> Yuv420Clip {
    painted(clip, frames, |canvas| {
        let step = canvas.step() as usize;
        let strength = strength(canvas.frame);
        let mut plane = canvas.of(clip, canvas.frame).to_vec();
        for (i, value) in plane.iter_mut().enumerate() {
            let (x, y) = (i % canvas.width * step, i / canvas.width * step);
            if let Some(ink) = writing.value(x, y) {
                let ink = if canvas.plane == 0 { ink } else { 128.0 };
                *value = (f32::from(*value) * (1.0 - strength) + ink * strength + 0.5) as u8;
            }
        }
        plane
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Texture, clip};

    #[test]
    fn the_writing_is_on_every_frame_at_the_same_place_and_nowhere_else() {
        let texture = Texture::new(5);
        let clean = clip((208, 120, 4), |t, x, y| texture.at(x + 2.0 * t as f32, y));
        for variant in 0..3 {
            let made = text(&clean, 4, "Waves roll on", variant);
            let written = |t: usize| -> Vec<usize> {
                (0..208 * 120).filter(|i| made.frame(t).y[*i].abs_diff(clean.frame(t).y[*i]) > 12).collect()
            };
            let (first, last) = (written(0), written(3));
            assert!((60..8_000).contains(&first.len()), "variant {variant}: {} pixels", first.len());
            let common = first.iter().filter(|i| last.contains(i)).count();
            assert!(common * 10 > first.len() * 6, "variant {variant}: {common} of {}", first.len());
            let rows: Vec<usize> = first.iter().map(|i| i / 208).collect();
            let (top, bottom) = (rows.iter().min().expect("some"), rows.iter().max().expect("some"));
            match variant {
                0 => assert!(*top > 90, "at the foot"),
                1 => assert!(*top > 30 && *bottom < 100, "in the middle"),
                _ => assert!(*bottom < 30, "in the corner"),
            }
        }
    }

    #[test]
    fn late_writing_is_not_on_the_first_frame_and_comes_as_it_says() {
        let texture = Texture::new(5);
        let clean = clip((208, 120, 32), |t, x, y| texture.at(x + 2.0 * t as f32, y));
        for variant in 0..3 {
            let made = late(&clean, 32, "", variant);
            let changed = |t: usize| {
                made.frame(t)
                    .y
                    .iter()
                    .zip(clean.frame(t).y)
                    .map(|(a, b)| u64::from(a.abs_diff(*b)))
                    .sum::<u64>()
            };
            let seen = [0, 4, 7, 8, 15, 16, 23, 24, 31].map(|t| changed(t) > 0);
            let expected = match variant {
                0 => [false, false, false, true, true, true, true, true, true],
                1 => [false, true, true, true, true, true, true, true, true],
                _ => [false, false, false, true, true, false, false, true, true],
            };
            assert_eq!(seen, expected, "variant {variant}");
        }
    }

    #[test]
    fn letters_are_what_they_are() {
        let writing = Writing::new("TI", (10, 1), 1, 0, 0);
        let row =
            |y: isize| (0..11).map(|x| if writing.covers(x, y) { '#' } else { '.' }).collect::<String>();
        assert_eq!([row(0), row(3), row(6)], ["#####..###.", "..#.....#..", "..#....###."]);
        assert!(!writing.covers(-1, 0) && !writing.covers(0, 9) && letter('~') == [0; 7]);
    }
}
