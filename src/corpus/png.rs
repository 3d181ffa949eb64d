//! The first frame as a PNG file: the same bytes on every machine, and back.

use bytes::Bytes;

use crate::quality::{
    color::{RgbError, frame_to_rgb, rgb_to_clip},
    frame::{FrameView, Yuv420Clip},
};

/// Most pixels that a first frame may have when read back.
const MAX_PIXELS: u64 = 16 << 20;

/// Why a first frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FirstFrameError {
    /// Writing failed.
    #[error("first frame: {0}")]
    Encode(#[from] png::EncodingError),
    /// Not a PNG file.
    #[error("first frame: {0}")]
    Decode(#[from] png::DecodingError),
    /// A PNG file, but not of the kind that is published.
    #[error("first frame must be 8-bit RGB of at most {MAX_PIXELS} pixels, got {0}")]
    Kind(String),
    /// The pixels do not make planes.
    #[error("first frame: {0}")]
    Pixels(#[from] RgbError),
}

/// One frame of planes as a PNG file: 8-bit RGB, not interlaced, no ancillary chunk.
///
/// The bytes are part of a round's plan, so the settings are fixed: the Paeth filter on every row and
/// the compressor of the `fdeflate` crate. (The `png` crate's numbered levels go through `flate2`,
/// whose backend any other dependency can swap.) A golden digest in the tests notices an update that
/// changes the bytes.
///
/// # Errors
/// When the encoder refuses the size (zero sides).
pub fn encode_first_frame(
    frame: FrameView<'_>,
    width: usize,
    height: usize,
) -> Result<Bytes, FirstFrameError> {
    let rgb = frame_to_rgb(frame, width, height);
    let mut file = Vec::with_capacity(rgb.len());
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_filter(png::Filter::Paeth);
    encoder.set_deflate_compression(png::DeflateCompression::FdeflateUltraFast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(file.into())
}

/// The planes that the scorer compares with: computed from the PNG file alone, so that whoever has the
/// published file has the scorer's input.
///
/// # Errors
/// When the file is not 8-bit RGB PNG, is too large, or has odd sides.
pub fn decode_first_frame(file: &[u8]) -> Result<Yuv420Clip, FirstFrameError> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let header = decoder.read_header_info()?;
    let (width, height) = header.size();
    let kind = (header.color_type, header.bit_depth, header.interlaced);
    if kind != (png::ColorType::Rgb, png::BitDepth::Eight, false)
        || u64::from(width) * u64::from(height) > MAX_PIXELS
    {
        return Err(FirstFrameError::Kind(format!("{width}x{height} {kind:?}")));
    }
    let mut reader = decoder.read_info()?;
    let mut rgb = vec![0; width as usize * height as usize * 3];
    reader.next_frame(&mut rgb)?;
    Ok(rgb_to_clip(&rgb, width as usize, height as usize)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Digest;

    fn drawn(width: usize, height: usize) -> Yuv420Clip {
        let luma = (0..width * height).map(|i| (16 + (i * 7 + i / width * 13) % 220) as u8);
        let chroma = (0..width * height / 2).map(|i| (64 + i * 5 % 128) as u8);
        Yuv420Clip::from_planes(width, height, 1, luma.chain(chroma).collect()).expect("even size")
    }

    #[test]
    fn the_bytes_are_the_golden_ones() {
        let clip = drawn(96, 64);
        let file = encode_first_frame(clip.frame(0), 96, 64).expect("encodes");
        assert_eq!(file, encode_first_frame(clip.frame(0), 96, 64).expect("encodes"));
        assert_eq!(
            Digest::of(&file).to_string(),
            "9d97bb57305df661a115e03d7a3dd0c4994d5afa01a10ce17bc03166c15b6ba3"
        );
    }

    #[test]
    fn the_scorer_gets_what_the_file_shows() {
        let clip = drawn(96, 64);
        let file = encode_first_frame(clip.frame(0), 96, 64).expect("encodes");
        let read = decode_first_frame(&file).expect("own file");
        let expected = rgb_to_clip(&frame_to_rgb(clip.frame(0), 96, 64), 96, 64).expect("even size");
        assert_eq!(read, expected);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(matches!(decode_first_frame(b"GIF89a"), Err(FirstFrameError::Decode(_))));
        let mut grey = Vec::new();
        let mut encoder = png::Encoder::new(&mut grey, 2, 2);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().and_then(|mut writer| writer.write_image_data(&[0; 4])).expect("encodes");
        assert!(matches!(decode_first_frame(&grey), Err(FirstFrameError::Kind(_))));
    }
}
