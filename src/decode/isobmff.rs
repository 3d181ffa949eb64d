//! Just enough of ISO base media files (ISO/IEC 14496-12: mp4, mov) to check what a demuxer hides:
//! that the boxes fill the file exactly and what the video track's edit list does.

use super::{
    container::ContainerError,
    timing::{Edit, EditList},
};

/// Edits beyond this many are not read: no honest file has more than two.
const MAX_EDITS: usize = 16;

/// One box: its type and its content.
struct IsoBox<'a> {
    kind: [u8; 4],
    body: &'a [u8],
}

/// The boxes inside a byte range, which they must fill exactly.
struct Boxes<'a> {
    rest: &'a [u8],
    /// Offset of `rest` in the walked range, for messages.
    offset: usize,
    level: &'static str,
}

impl<'a> Boxes<'a> {
    fn new(level: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0, level }
    }

    fn damaged(&self, what: &str) -> ContainerError {
        ContainerError(format!("{} box structure is damaged at byte {}: {what}", self.level, self.offset))
    }

    fn step(&mut self) -> Result<IsoBox<'a>, ContainerError> {
        let short = || self.damaged("the box header is cut off");
        let small = be_u32(self.rest, 0).ok_or_else(short)?;
        let kind = array::<4>(self.rest, 4).ok_or_else(short)?;
        let (header, size) = match small {
            0 => (8, self.rest.len() as u64),
            1 => (16, be_u64(self.rest, 8).ok_or_else(short)?),
            size => (8, u64::from(size)),
        };
        if size < header || size > self.rest.len() as u64 {
            let name = String::from_utf8_lossy(&kind).into_owned();
            let left = self.rest.len();
            return Err(self.damaged(&format!("box `{name}` claims {size} bytes, {left} are left")));
        }
        let (whole, rest) = self.rest.split_at(size as usize);
        self.rest = rest;
        self.offset += whole.len();
        Ok(IsoBox { kind, body: &whole[header as usize..] })
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<IsoBox<'a>, ContainerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.step();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

fn be_u64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// The only box of this type inside `bytes`; two are refused, because readers differ in which
/// one they take.
fn only<'a>(
    level: &'static str,
    bytes: &'a [u8],
    kind: &[u8; 4],
) -> Result<Option<&'a [u8]>, ContainerError> {
    let mut found = None;
    for item in Boxes::new(level, bytes) {
        let item = item?;
        if &item.kind == kind && found.replace(item.body).is_some() {
            let name = String::from_utf8_lossy(kind);
            return Err(ContainerError(format!("{level} holds two `{name}` boxes")));
        }
    }
    Ok(found)
}

/// Timescale (ticks per second) of an `mvhd` or `mdhd` box.
fn timescale(header: &[u8]) -> Option<u32> {
    match header.first()? {
        0 => be_u32(header, 12),
        1 => be_u32(header, 20),
        _ => None,
    }
    .filter(|&ticks| ticks > 0)
}

fn edits(elst: &[u8]) -> Option<Vec<Edit>> {
    let version = *elst.first()?;
    let count = be_u32(elst, 4)? as usize;
    if count > MAX_EDITS {
        return None;
    }
    let read = |i: usize| -> Option<Edit> {
        let (duration, media_time, rate) = match version {
            0 => {
                let at = 8 + i * 12;
                let time = i64::from(be_u32(elst, at + 4)? as i32);
                (u64::from(be_u32(elst, at)?), time, be_u32(elst, at + 8)?)
            }
            1 => {
                let at = 8 + i * 20;
                (be_u64(elst, at)?, be_u64(elst, at + 8)? as i64, be_u32(elst, at + 16)?)
            }
            _ => return None,
        };
        Some(Edit { duration, media_time, rate_16_16: rate })
    };
    (0..count).map(read).collect()
}

/// Checks that the top-level boxes fill the file and returns the video track's edit list; `None`
/// where it has none.
pub(super) fn inspect(file: &[u8]) -> Result<Option<EditList>, ContainerError> {
    let moov = only("file", file, b"moov")?
        .ok_or_else(|| ContainerError("no `moov` box: the file is cut off or not a video file".to_owned()))?;
    let missing = |what: &str| ContainerError(format!("`{what}` is missing or damaged"));
    let movie_timescale = only("moov", moov, b"mvhd")?.and_then(timescale).ok_or_else(|| missing("mvhd"))?;
    let mut video = None;
    for item in Boxes::new("moov", moov) {
        let item = item?;
        if &item.kind != b"trak" {
            continue;
        }
        let media = only("trak", item.body, b"mdia")?.ok_or_else(|| missing("mdia"))?;
        let handler = only("mdia", media, b"hdlr")?.ok_or_else(|| missing("hdlr"))?;
        if array::<4>(handler, 8) != Some(*b"vide") {
            continue;
        }
        if video.replace((item.body, media)).is_some() {
            return Err(ContainerError("two video tracks: exactly one is allowed".to_owned()));
        }
    }
    let (track, media) = video.ok_or_else(|| ContainerError("no video track".to_owned()))?;
    let media_timescale = only("mdia", media, b"mdhd")?.and_then(timescale).ok_or_else(|| missing("mdhd"))?;
    let Some(edts) = only("trak", track, b"edts")? else { return Ok(None) };
    let Some(elst) = only("edts", edts, b"elst")? else { return Ok(None) };
    let edits = edits(elst).ok_or_else(|| missing("elst"))?;
    Ok(Some(EditList { movie_timescale, media_timescale, edits }))
}

/// Major brand of the leading `ftyp` box, `None` where the file does not start with one.
pub(super) fn major_brand(file: &[u8]) -> Option<[u8; 4]> {
    (array::<4>(file, 4)? == *b"ftyp").then(|| array(file, 8))?
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::decode) fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, &body].concat()
    }

    fn header(timescale: u32) -> Vec<u8> {
        [&[0; 12][..], &timescale.to_be_bytes(), &[0; 80]].concat()
    }

    fn track(handler: &[u8; 4], elst: Option<&[u8]>) -> Vec<u8> {
        let hdlr = boxed(b"hdlr", &[&[0; 8], handler, &[0; 13]]);
        let mdia = boxed(b"mdia", &[&boxed(b"mdhd", &[&header(16_384)]), &hdlr]);
        let edts = elst.map_or(Vec::new(), |e| boxed(b"edts", &[&boxed(b"elst", &[e])]));
        boxed(b"trak", &[&edts, &mdia])
    }

    fn movie(tracks: &[&[u8]]) -> Vec<u8> {
        let mvhd = boxed(b"mvhd", &[&header(1000)]);
        let moov = boxed(b"moov", &[&mvhd, &tracks.concat()]);
        [boxed(b"ftyp", &[b"isom", &[0; 4]]), moov, boxed(b"mdat", &[&[7; 20]])].concat()
    }

    fn elst_v0(entries: &[(u32, i32, u32)]) -> Vec<u8> {
        let mut out = [&[0; 4][..], &(entries.len() as u32).to_be_bytes()].concat();
        for (duration, time, rate) in entries {
            out.extend_from_slice(&duration.to_be_bytes());
            out.extend_from_slice(&time.to_be_bytes());
            out.extend_from_slice(&rate.to_be_bytes());
        }
        out
    }

    #[test]
    fn the_video_tracks_edit_list_is_read() {
        let elst = elst_v0(&[(125, -1, 0x1_0000), (5063, 2048, 0x1_0000)]);
        let file = movie(&[&track(b"soun", Some(&elst_v0(&[(1, 99, 0)]))), &track(b"vide", Some(&elst))]);
        let list = inspect(&file).expect("well formed").expect("has edits");
        assert_eq!((list.movie_timescale, list.media_timescale), (1000, 16_384));
        assert_eq!(list.edits[0].media_time, -1);
        assert_eq!(list.edits[1], Edit { duration: 5063, media_time: 2048, rate_16_16: 0x1_0000 });
        assert_eq!(major_brand(&file), Some(*b"isom"));
    }

    #[test]
    fn a_file_without_edits_has_none() {
        assert_eq!(inspect(&movie(&[&track(b"vide", None)])), Ok(None));
    }

    #[test]
    fn every_cut_is_noticed() {
        let file = movie(&[&track(b"vide", None)]);
        let mdat = file.len() - 28;
        for end in 0..file.len() {
            // A cut between two boxes leaves whole boxes; only the missing frames tell.
            assert_eq!(inspect(&file[..end]).is_ok(), end == mdat, "cut at {end}");
        }
    }

    #[test]
    fn doubled_boxes_and_tracks_are_refused() {
        let one = track(b"vide", None);
        assert!(inspect(&movie(&[&one, &one])).is_err());
        assert!(inspect(&movie(&[])).is_err());
        let file = movie(&[&one]);
        assert!(inspect(&[file.clone(), file].concat()).is_err());
        let many = elst_v0(&vec![(1, 0, 0x1_0000); MAX_EDITS + 1]);
        assert!(inspect(&movie(&[&track(b"vide", Some(&many))])).is_err());
    }
}
