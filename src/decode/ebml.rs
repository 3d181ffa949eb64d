//! Just enough of EBML (RFC 8794) to tell webm from other Matroska files and to notice a cut.

use super::container::ContainerError;

const EBML: u32 = 0x1A45_DFA3;
const DOC_TYPE: u32 = 0x4282;
const SEGMENT: u32 = 0x1853_8067;

/// One element: its id and its content.
struct Element<'a> {
    id: u32,
    body: &'a [u8],
}

fn damaged(what: &str) -> ContainerError {
    ContainerError(format!("webm structure is damaged: {what}"))
}

/// Splits the first element off `bytes`. Elements of unknown size (live streams) are refused: a
/// cut in them cannot be seen.
fn split(bytes: &[u8]) -> Result<(Element<'_>, &[u8]), ContainerError> {
    let cut = || damaged("an element header is cut off");
    let first = *bytes.first().ok_or_else(cut)?;
    let id_length = first.leading_zeros() as usize + 1;
    if id_length > 4 {
        return Err(damaged("an element id is longer than 4 bytes"));
    }
    let id = bytes.get(..id_length).ok_or_else(cut)?.iter().fold(0, |id, &b| id << 8 | u32::from(b));
    let lead = *bytes.get(id_length).ok_or_else(cut)?;
    let size_length = lead.leading_zeros() as usize + 1;
    if size_length > 8 {
        return Err(damaged("an element size is longer than 8 bytes"));
    }
    let header = id_length + size_length;
    let raw = bytes.get(id_length..header).ok_or_else(cut)?;
    let value_bits = 7 * size_length as u32;
    let size = raw.iter().fold(0u64, |size, &b| size << 8 | u64::from(b)) & ((1 << value_bits) - 1);
    if size == (1 << value_bits) - 1 {
        return Err(damaged("an element has no size (live stream): write the file to disk instead"));
    }
    let rest = &bytes[header..];
    if size > rest.len() as u64 {
        return Err(damaged(&format!("an element claims {size} bytes, {} are left", rest.len())));
    }
    let (body, rest) = rest.split_at(size as usize);
    Ok((Element { id, body }, rest))
}

/// Document type (`webm`, `matroska`, ...) of a file that starts with an EBML header; `None` for
/// any other file.
pub(super) fn document_type(file: &[u8]) -> Option<String> {
    let (header, _) = split(file).ok()?;
    let mut rest = if header.id == EBML { header.body } else { return None };
    while let Ok((element, next)) = split(rest) {
        if element.id == DOC_TYPE {
            let text = String::from_utf8_lossy(&element.body[..element.body.len().min(32)]).into_owned();
            return Some(text.trim_end_matches('\0').to_owned());
        }
        rest = next;
    }
    Some(String::new())
}

/// Checks that header and one segment fill the file and that the segment's elements fill it.
pub(super) fn inspect(file: &[u8]) -> Result<(), ContainerError> {
    let (_, after_header) = split(file)?;
    let (segment, after_segment) = split(after_header)?;
    if segment.id != SEGMENT {
        return Err(damaged("the header is not followed by a segment"));
    }
    if !after_segment.is_empty() {
        return Err(damaged(&format!("{} bytes follow the segment", after_segment.len())));
    }
    let mut rest = segment.body;
    while !rest.is_empty() {
        rest = split(rest)?.1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        let size = (body.len() as u32 | 0x1000_0000).to_be_bytes(); // 4-byte size
        [id, &size, body].concat()
    }

    fn file(doc_type: &str) -> Vec<u8> {
        let header = element(&EBML.to_be_bytes(), &element(&[0x42, 0x82], doc_type.as_bytes()));
        let cluster = element(&[0x1F, 0x43, 0xB6, 0x75], &[9; 30]);
        let info = element(&[0x15, 0x49, 0xA9, 0x66], &[1; 5]);
        [header, element(&SEGMENT.to_be_bytes(), &[info, cluster].concat())].concat()
    }

    #[test]
    fn webm_and_matroska_are_told_apart() {
        assert_eq!(document_type(&file("webm")).as_deref(), Some("webm"));
        assert_eq!(document_type(&file("matroska")).as_deref(), Some("matroska"));
        assert_eq!(document_type(b"RIFF....AVI "), None);
        assert_eq!(document_type(b""), None);
    }

    #[test]
    fn every_cut_and_every_tail_is_noticed() {
        let whole = file("webm");
        assert_eq!(inspect(&whole), Ok(()));
        for end in 0..whole.len() {
            assert!(inspect(&whole[..end]).is_err(), "cut at {end}");
        }
        assert!(inspect(&[whole, vec![0x80]].concat()).is_err());
    }

    #[test]
    fn a_live_stream_is_refused() {
        let header = element(&EBML.to_be_bytes(), &element(&[0x42, 0x82], b"webm"));
        let live = [header, SEGMENT.to_be_bytes().to_vec(), vec![0x01], vec![0xFF; 7]].concat();
        assert!(inspect(&live).expect_err("unknown size").0.contains("live"));
    }
}
