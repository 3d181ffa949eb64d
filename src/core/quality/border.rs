//! Letterbox and pillarbox bars: flat rows or columns at two opposite edges.

/// Largest luma range inside a line of a bar, and largest mean difference between opposite bars, in levels.
const FLATNESS: u8 = 10;

/// Thickness of the bars of one frame, in pixels; zero where only one of two edges has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bars {
    /// Rows of the thinner of the upper and lower bar.
    pub letterbox: u32,
    /// Columns of the thinner of the left and right bar.
    pub pillarbox: u32,
}

/// Finds bars: runs of lines from an edge whose luma range is at most 10 and whose level stays within
/// 10 of the opposite edge. A frame that is flat all over has no bars.
///
/// # Panics
/// When `y` is shorter than `width * height`, as slices do.
pub fn bars(y: &[u8], width: usize, height: usize) -> Bars {
    let (rows, columns) = line_ranges(y, width, height);
    bars_of(&rows, &columns)
}

/// Darkest and brightest value of one line.
pub type Range = (u8, u8);

/// Ranges of every row and of every column of a luma plane.
///
/// # Panics
/// When `y` is shorter than `width * height`, as slices do.
pub fn line_ranges(y: &[u8], width: usize, height: usize) -> (Vec<Range>, Vec<Range>) {
    let mut rows = vec![(u8::MAX, u8::MIN); height];
    let mut columns = vec![(u8::MAX, u8::MIN); width];
    for (line, row) in y[..width * height].chunks_exact(width).zip(&mut rows) {
        for (&value, column) in line.iter().zip(&mut columns) {
            *row = (row.0.min(value), row.1.max(value));
            *column = (column.0.min(value), column.1.max(value));
        }
    }
    (rows, columns)
}

/// The bars of a frame from the ranges of its lines.
pub fn bars_of(rows: &[Range], columns: &[Range]) -> Bars {
    let level = |&(low, high): &Range| (high.saturating_sub(low) <= FLATNESS).then_some(low);
    let levels = |lines: &[Range]| lines.iter().map(level).collect::<Vec<_>>();
    Bars { letterbox: opposite(&levels(rows)), pillarbox: opposite(&levels(columns)) }
}

fn opposite(lines: &[Option<u8>]) -> u32 {
    let Some(Some(first)) = lines.first().copied() else { return 0 };
    let bar = |line: &&Option<u8>| line.is_some_and(|level| level.abs_diff(first) <= FLATNESS);
    let near = lines.iter().take_while(bar).count();
    let far = lines.iter().rev().take_while(bar).count();
    if near == lines.len() { 0 } else { near.min(far) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(top: usize, bottom: usize, left: usize, right: usize) -> Vec<u8> {
        let (width, height) = (60usize, 40usize);
        (0..width * height)
            .map(|i| {
                let (x, y) = (i % width, i / width);
                let inside = (left..width - right).contains(&x) && (top..height - bottom).contains(&y);
                if inside { ((x * 37 + y * 91) % 200) as u8 + 30 } else { 16 + (i % 3) as u8 }
            })
            .collect()
    }

    #[test]
    fn only_bars_on_both_sides_count() {
        for (top, bottom, left, right, want) in [
            (0, 0, 0, 0, (0, 0)),
            (6, 8, 0, 0, (6, 0)),
            (0, 0, 9, 5, (0, 5)),
            (12, 0, 7, 0, (0, 0)),
            (4, 4, 3, 3, (4, 3)),
        ] {
            let found = bars(&framed(top, bottom, left, right), 60, 40);
            assert_eq!((found.letterbox, found.pillarbox), want, "{top} {bottom} {left} {right}");
        }
    }

    #[test]
    fn a_flat_frame_has_no_bars() {
        assert_eq!(bars(&[40; 12], 4, 3), Bars::default());
    }
}
