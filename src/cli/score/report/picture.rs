//! Frames as PNG data URIs.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::quality::{
    color::frame_to_rgb,
    frame::{FrameView, Yuv420Clip},
};

/// Factor by which differences between two frames are made visible.
pub(super) const DIFFERENCE_GAIN: u32 = 8;

/// Colours of a heat map from cold to hot (dark violet, magenta, orange, pale yellow).
const HEAT: [[u8; 3]; 5] = [[13, 8, 33], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

/// A picture inside the page.
pub(super) struct Picture {
    /// Width in pixels.
    pub(super) width: usize,
    /// Height in pixels.
    pub(super) height: usize,
    /// The PNG file as a data URI.
    pub(super) uri: String,
}

/// RGB pixels `[height, width, 3]`.
struct Rgb {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Rgb {
    /// Mean of `step` by `step` pixels each, rounded to nearest; a rest at the edges is left out.
    fn reduced(&self, step: usize) -> Rgb {
        let (width, height) = (self.width / step, self.height / step);
        let area = (step * step) as u32;
        let mut pixels = Vec::with_capacity(width * height * 3);
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            for channel in 0..3 {
                let row = |dy: usize| ((y * step + dy) * self.width + x * step) * 3 + channel;
                let cells = (0..step).flat_map(|dy| (0..step).map(move |dx| (dy, dx)));
                let sum: u32 = cells.map(|(dy, dx)| u32::from(self.pixels[row(dy) + dx * 3])).sum();
                pixels.push(((sum + area / 2) / area) as u8);
            }
        }
        Rgb { width, height, pixels }
    }

    fn picture(&self) -> Result<Picture, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::High);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        let uri = format!("data:image/png;base64,{}", STANDARD.encode(&file));
        Ok(Picture { width: self.width, height: self.height, uri })
    }
}

/// How many pixels become one, so that a picture is at most `widest` wide.
fn step_for(width: usize, height: usize, widest: usize) -> usize {
    width.div_ceil(widest).clamp(1, width.min(height).max(1))
}

/// One frame of a clip, at most `widest` pixels wide.
pub(super) fn frame(clip: &Yuv420Clip, index: usize, widest: usize) -> Result<Picture, png::EncodingError> {
    let (width, height) = (clip.width(), clip.height());
    let pixels = frame_to_rgb(clip.frame(index), width, height);
    Rgb { width, height, pixels }.reduced(step_for(width, height, widest)).picture()
}

/// Luma difference of two frames of one size, times [`DIFFERENCE_GAIN`], as heat.
pub(super) fn difference(
    a: FrameView<'_>,
    b: FrameView<'_>,
    (width, height): (usize, usize),
    widest: usize,
) -> Result<Picture, png::EncodingError> {
    let apart = a.y.iter().zip(b.y).map(|(a, b)| u32::from(a.abs_diff(*b)) * DIFFERENCE_GAIN);
    let pixels = apart.flat_map(|level| heat(level.min(255) as u8)).collect();
    Rgb { width, height, pixels }.reduced(step_for(width, height, widest)).picture()
}

/// A map of values `[rows, columns]` as heat, `full` and above being the hottest. Heat is the square root
/// of the share, so that small motion shows.
pub(super) fn map(values: &[Vec<i64>], full: i64) -> Result<Picture, png::EncodingError> {
    let (height, width) = (values.len(), values.first().map_or(0, Vec::len));
    let level = |value: &i64| ((value.clamp(&0, &full) * 255 * 255 / full.max(1)) as u64).isqrt() as u8;
    let pixels = values.iter().flatten().flat_map(|value| heat(level(value))).collect();
    Rgb { width, height, pixels }.picture()
}

fn heat(level: u8) -> [u8; 3] {
    let place = u32::from(level) * (HEAT.len() as u32 - 1);
    let (below, part) = ((place / 255) as usize, place % 255);
    let above = (below + 1).min(HEAT.len() - 1);
    std::array::from_fn(|channel| {
        let (low, high) = (u32::from(HEAT[below][channel]), u32::from(HEAT[above][channel]));
        ((low * (255 - part) + high * part + 127) / 255) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_runs_from_the_first_colour_to_the_last() {
        assert_eq!((heat(0), heat(255)), (HEAT[0], HEAT[4]));
        // Twice red, five times green and blue: near enough to luminance.
        let brightness: Vec<u32> = (0..=255)
            .map(|level| heat(level).iter().zip([2, 5, 1]).map(|(v, weight)| u32::from(*v) * weight).sum())
            .collect();
        assert!(brightness.is_sorted(), "hotter is brighter");
    }

    #[test]
    fn a_picture_is_reduced_by_whole_steps_and_decodes() {
        let clip = Yuv420Clip::from_planes(96, 64, 1, vec![128; 96 * 64 * 3 / 2]).expect("sizes agree");
        let picture = frame(&clip, 0, 40).expect("encodes");
        assert_eq!((picture.width, picture.height), (32, 21));
        let file = STANDARD.decode(picture.uri.split_once(',').expect("data").1).expect("base64");
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("PNG");
        let mut pixels = vec![0; 32 * 21 * 3];
        reader.next_frame(&mut pixels).expect("pixels");
        assert!(pixels.iter().all(|value| *value == pixels[0]));
    }
}
