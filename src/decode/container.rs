//! What kind of file it is, by its own bytes: the demuxer is then allowed that one format only.

use super::{ebml, isobmff, protocol::ContainerKind, timing::EditList};

/// Why the container was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct ContainerError(pub(super) String);

/// Brands of still-image files that share the mp4 structure.
const IMAGE_BRANDS: [&[u8; 4]; 5] = [b"avif", b"avis", b"heic", b"heix", b"mif1"];

/// Names of common formats by their first bytes, for the message only.
const KNOWN: [(&[u8], &str); 10] = [
    (b"RIFF", "AVI or WebP"),
    (b"\x89PNG", "PNG"),
    (b"\xFF\xD8\xFF", "JPEG"),
    (b"GIF8", "GIF"),
    (b"OggS", "Ogg"),
    (b"FLV", "FLV"),
    (b"\x47\x40", "MPEG transport stream"),
    (b"\0\0\0\x01", "raw video stream"),
    (b"{", "JSON"),
    (b"<", "HTML or XML"),
];

/// Names the container of a file.
pub(super) fn identify(file: &[u8]) -> Result<ContainerKind, ContainerError> {
    if file.is_empty() {
        return Err(ContainerError("the file is empty".to_owned()));
    }
    if let Some(brand) = isobmff::major_brand(file) {
        if IMAGE_BRANDS.contains(&&brand) {
            return Err(ContainerError("the file is a still image (HEIF or AVIF)".to_owned()));
        }
        return Ok(if brand == *b"qt  " { ContainerKind::Mov } else { ContainerKind::Mp4 });
    }
    if let Some(document_type) = ebml::document_type(file) {
        if document_type == "webm" {
            return Ok(ContainerKind::Webm);
        }
        let shown: String = document_type.chars().filter(|c| c.is_ascii_graphic()).collect();
        return Err(ContainerError(format!("Matroska file of type `{shown}`: only webm is allowed")));
    }
    let name = KNOWN.iter().find(|(magic, _)| file.starts_with(magic)).map_or("unknown", |(_, name)| name);
    Err(ContainerError(format!("container is {name}: only mp4, mov and webm are allowed")))
}

/// Checks that the container's outer structure fills the file exactly, and returns the edit list
/// of the video track where the format has one.
pub(super) fn inspect(kind: ContainerKind, file: &[u8]) -> Result<Option<EditList>, ContainerError> {
    match kind {
        ContainerKind::Mp4 | ContainerKind::Mov => isobmff::inspect(file),
        ContainerKind::Webm => ebml::inspect(file).map(|()| None),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::isobmff::tests::boxed, *};

    #[test]
    fn the_brand_tells_mp4_mov_and_images_apart() {
        let with_brand = |brand: &[u8; 4]| identify(&boxed(b"ftyp", &[brand, &[0; 4]]));
        assert_eq!(with_brand(b"isom"), Ok(ContainerKind::Mp4));
        assert_eq!(with_brand(b"qt  "), Ok(ContainerKind::Mov));
        assert!(with_brand(b"avif").is_err());
    }

    #[test]
    fn other_formats_are_named() {
        for (bytes, name) in [(&b"RIFF1234AVI "[..], "AVI"), (b"\x89PNG\r\n", "PNG"), (b"abc", "unknown")] {
            assert!(identify(bytes).expect_err("not allowed").0.contains(name));
        }
        assert!(identify(b"").expect_err("empty").0.contains("empty"));
    }
}
