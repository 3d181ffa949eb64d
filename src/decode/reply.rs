//! Where a worker's records go. A sink knows from the request how much may come and hands out
//! exactly that much room; what the child claims is only compared.

use super::{
    error::DecodeError,
    protocol::{MAX_JSON, MAX_SIDE, MAX_SOURCE_FRAMES, ScanFrame, ScanHeader, SourceScan, THUMBNAIL, Tag},
};
use crate::quality::{frame::Yuv420Clip, resample::thumbnail_size};

/// Takes records one by one.
pub(super) trait ReplySink {
    /// Room for the body of a record with this tag and claimed length.
    fn body(&mut self, tag: Tag, length: u32) -> Result<&mut [u8], DecodeError>;
    /// The room was filled.
    fn accept(&mut self, tag: Tag) -> Result<(), DecodeError>;
}

fn broken(detail: impl Into<String>) -> DecodeError {
    DecodeError::Worker { detail: detail.into() }
}

/// A known number of frames of a known size.
pub(super) struct PlaneSink {
    width: usize,
    height: usize,
    expected: usize,
    received: usize,
    data: Vec<u8>,
}

impl PlaneSink {
    /// Expects `frames` frames of `width` x `height`; the memory is taken with the first of them.
    pub(super) fn new(width: u32, height: u32, frames: u32) -> Self {
        let (width, height) = (width as usize, height as usize);
        Self { width, height, expected: frames as usize, received: 0, data: Vec::new() }
    }

    /// The clip, once all frames came.
    pub(super) fn finish(self) -> Result<Yuv420Clip, DecodeError> {
        if self.received != self.expected {
            return Err(broken(format!("{} of {} frames sent", self.received, self.expected)));
        }
        Yuv420Clip::from_planes(self.width, self.height, self.expected, self.data)
            .map_err(|e| broken(e.to_string()))
    }
}

impl ReplySink for PlaneSink {
    fn body(&mut self, tag: Tag, length: u32) -> Result<&mut [u8], DecodeError> {
        let size = Yuv420Clip::frame_bytes(self.width, self.height);
        if tag != Tag::Frame || length as usize != size || self.received >= self.expected {
            return Err(broken(format!(
                "{tag:?} of {length} bytes after {} of {} frames of {size} bytes",
                self.received, self.expected
            )));
        }
        if self.data.is_empty() {
            self.data = vec![0; size * self.expected];
        }
        Ok(&mut self.data[self.received * size..][..size])
    }

    fn accept(&mut self, _tag: Tag) -> Result<(), DecodeError> {
        self.received += 1;
        Ok(())
    }
}

/// A size, then any number of timed thumbnails up to the limit.
#[derive(Default)]
pub(super) struct ScanSink {
    scan: Option<SourceScan>,
    buffer: Vec<u8>,
}

impl ScanSink {
    /// The scan, once at least one frame came.
    pub(super) fn finish(self) -> Result<SourceScan, DecodeError> {
        self.scan.filter(|scan| !scan.frames.is_empty()).ok_or_else(|| broken("a scan without frames"))
    }

    fn start(&mut self) -> Result<(), DecodeError> {
        let ScanHeader { width, height } =
            serde_json::from_slice(&self.buffer).map_err(|e| broken(format!("scan header: {e}")))?;
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(broken(format!("scan of {width}x{height} pixels")));
        }
        let (thumb_width, thumb_height) = thumbnail_size(width as usize, height as usize, THUMBNAIL);
        self.scan = Some(SourceScan {
            width,
            height,
            thumb_width: thumb_width as u32,
            thumb_height: thumb_height as u32,
            frames: Vec::new(),
        });
        Ok(())
    }
}

impl ReplySink for ScanSink {
    fn body(&mut self, tag: Tag, length: u32) -> Result<&mut [u8], DecodeError> {
        let fits = match (&self.scan, tag) {
            (None, Tag::ScanHeader) => length <= MAX_JSON,
            (Some(scan), Tag::ScanFrame) => {
                scan.frames.len() < MAX_SOURCE_FRAMES as usize
                    && length == 8 + scan.thumb_width * scan.thumb_height
            }
            _ => false,
        };
        if !fits {
            return Err(broken(format!("{tag:?} of {length} bytes does not belong here in a scan")));
        }
        self.buffer.resize(length as usize, 0);
        Ok(&mut self.buffer)
    }

    fn accept(&mut self, tag: Tag) -> Result<(), DecodeError> {
        let (Some(scan), Tag::ScanFrame) = (&mut self.scan, tag) else { return self.start() };
        let Some((time, thumb)) = self.buffer.split_first_chunk::<8>() else {
            return Err(broken("a scanned frame without a time"));
        };
        let pts_us = u64::from_le_bytes(*time);
        let follows = scan.frames.last().map_or(pts_us == 0, |last| pts_us > last.pts_us);
        if !follows {
            return Err(broken(format!("frame {} of a scan at {pts_us} us", scan.frames.len())));
        }
        scan.frames.push(ScanFrame { pts_us, thumb: thumb.to_vec() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(sink: &mut ScanSink, tag: Tag, body: &[u8]) -> Result<(), DecodeError> {
        sink.body(tag, body.len() as u32)?.copy_from_slice(body);
        sink.accept(tag)
    }

    fn frame(time: u64) -> Vec<u8> {
        [&time.to_le_bytes()[..], &[5; 4 * 2]].concat()
    }

    #[test]
    fn a_scan_is_a_size_and_rising_times_from_zero() {
        let mut sink = ScanSink::default();
        assert!(put(&mut sink, Tag::ScanFrame, &frame(0)).is_err(), "no size yet");
        assert_eq!(put(&mut sink, Tag::ScanHeader, br#"{"width":4,"height":2}"#), Ok(()));
        assert!(put(&mut sink, Tag::ScanFrame, &frame(7)).is_err(), "does not start at zero");
        assert_eq!(put(&mut sink, Tag::ScanFrame, &frame(0)), Ok(()));
        assert!(put(&mut sink, Tag::ScanFrame, &frame(0)).is_err(), "does not rise");
        assert!(put(&mut sink, Tag::ScanFrame, &frame(1)[1..]).is_err(), "too short");
        assert_eq!(put(&mut sink, Tag::ScanFrame, &frame(62_500)), Ok(()));
        let scan = sink.finish().expect("two frames");
        assert_eq!((scan.frames.len(), scan.thumb_width, scan.thumb_height), (2, 4, 2));
    }

    #[test]
    fn a_claimed_size_beyond_the_limit_is_refused() {
        for json in [&br#"{"width":5000,"height":2}"#[..], br#"{"width":0,"height":2}"#, b"[]"] {
            assert!(put(&mut ScanSink::default(), Tag::ScanHeader, json).is_err());
        }
        assert!(ScanSink::default().finish().is_err());
    }
}
