//! Every departure from what was asked meets its gate.

use bytes::Bytes;
use leoma::{
    decode::DecodeError,
    domain::{outcome::Fault, score::GateId},
};

use super::fixtures::{SMALL, clip_of, clip_path, copied, decoder, plain, small};

async fn gate_of(bytes: Bytes) -> (GateId, String) {
    let error = decoder().decode_clip(bytes, SMALL).await.expect_err("must be refused");
    assert_eq!(error.fault(), Fault::Miner, "{error}");
    match error {
        DecodeError::Gate { gate, reason } => (gate, reason),
        other => panic!("not a gate: {other}"),
    }
}

async fn expect(gate: GateId, cases: Vec<(&str, Bytes)>) {
    for (name, bytes) in cases {
        let (seen, reason) = gate_of(bytes).await;
        assert_eq!(seen, gate, "{name}: {reason}");
    }
}

fn yuv420p(name: &str, frames: u32, more: &str) -> Bytes {
    clip_of(name, SMALL, frames, &format!("-pix_fmt yuv420p {more}"))
}

#[tokio::test]
async fn g1_too_few_or_far_too_many_frames() {
    let cases = vec![
        ("one frame", yuv420p("one.mp4", 1, "")),
        ("one missing", yuv420p("eight.mp4", 8, "")),
        ("five too many", yuv420p("fourteen.mp4", 14, "")),
        ("many too many", yuv420p("hundred.webm", 100, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8")),
    ];
    expect(GateId::G1, cases).await;
}

#[tokio::test]
async fn g12_another_size() {
    let wide = leoma::domain::plan::ClipSpec { width: 66, ..SMALL };
    let large = leoma::domain::plan::ClipSpec { width: 640, height: 480, ..SMALL };
    let cases = vec![
        ("two columns more", clip_of("wide.mp4", wide, 9, "-pix_fmt yuv420p")),
        ("ten times", clip_of("large.mp4", large, 9, "-pix_fmt yuv420p")),
    ];
    expect(GateId::G12, cases).await;
}

#[tokio::test]
async fn g11_other_pixels_ranges_shapes_and_tags() {
    let plain_path = clip_path("plain.mp4", SMALL, SMALL.frames, "-pix_fmt yuv420p");
    let hdr = "-pix_fmt yuv420p -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc";
    let cases = vec![
        ("10 bit", small("ten.mp4", "-pix_fmt yuv420p10le")),
        ("4:4:4", small("444.mp4", "-pix_fmt yuv444p")),
        ("full range", small("full-range.mp4", "-pix_fmt yuvj420p -color_range pc")),
        ("full range tag in webm", small("range.webm", "-pix_fmt yuv420p -color_range pc -c:v libvpx-vp9")),
        ("alpha", small("alpha.webm", "-pix_fmt yuva420p -c:v libvpx-vp9")),
        ("rotation", copied("rotated.mp4", &plain_path, "", "-metadata:s:v:0 rotate=90")),
        ("wide pixels", small("wide-pixels.mp4", "-pix_fmt yuv420p -vf setsar=4/3")),
        ("wide pixels in webm", small("wide.webm", "-pix_fmt yuv420p -vf setsar=4/3 -c:v libvpx-vp9")),
        ("HDR", small("hdr.mp4", hdr)),
        ("interlaced", small("interlaced.mp4", "-pix_fmt yuv420p -flags +ildct+ilme")),
    ];
    expect(GateId::G11, cases).await;
}

#[tokio::test]
async fn g10_other_rates_jumps_repeats_and_trims() {
    let plain_path = clip_path("plain.mp4", SMALL, SMALL.frames, "-pix_fmt yuv420p");
    let webm = clip_path("vp9.webm", SMALL, SMALL.frames, "-pix_fmt yuv420p -c:v libvpx-vp9");
    let jump = "-pix_fmt yuv420p -vf setpts=if(gt(N\\,4)\\,N+2\\,N)/16/TB -vsync vfr";
    let fast = leoma::domain::plan::ClipSpec { fps: 24, ..SMALL };
    let cases = vec![
        ("24 frames per second", clip_of("fast.mp4", fast, 9, "-pix_fmt yuv420p")),
        ("a jump", small("jump.mp4", jump)),
        ("a jump in webm", small("jump.webm", &format!("{jump} -c:v libvpx-vp9"))),
        ("two frames at one time", copied("twice.webm", &webm, "", "-bsf:v setts=ts=TS-63*eq(N\\,4)")),
        ("a slower rate", copied("slow.webm", &webm, "", "-bsf:v setts=ts=TS*2")),
        ("an edit list that trims", copied("trimmed.mp4", &plain_path, "-ss 0.2", "")),
    ];
    expect(GateId::G10, cases).await;
}

/// Offset of the first entry of the (only) edit list.
fn edit_entry(file: &[u8]) -> usize {
    file.windows(4).position(|w| w == b"elst").expect("libx264 mp4 has an edit list") + 12
}

#[tokio::test]
async fn g10_edit_lists_are_judged_by_what_they_show() {
    let whole = plain().to_vec();
    let entry = edit_entry(&whole);
    let duration = u32::from_be_bytes(whole[entry..entry + 4].try_into().expect("4 bytes"));
    assert!((562..=563).contains(&duration), "nine frames at 16 fps in milliseconds: {duration}");
    let with = |at: usize, value: u32| {
        let mut file = whole.clone();
        file[at..at + 4].copy_from_slice(&value.to_be_bytes());
        Bytes::from(file)
    };
    let cases = vec![
        ("half of it", with(entry, duration / 2)),
        ("without the last frame", with(entry, duration - 63)),
        ("late start", with(entry + 4, 10_000)),
        ("nothing", with(entry + 4, u32::MAX)),
        ("double rate", with(entry + 8, 0x2_0000)),
    ];
    expect(GateId::G10, cases).await;
    let open_end = decoder().decode_clip(with(entry, 0), SMALL).await;
    assert!(open_end.is_ok(), "a duration of 0 is an open end: {open_end:?}");
}

#[tokio::test]
async fn g13_other_containers_codecs_and_layouts() {
    let mut two = super::fixtures::picture(64, 48, 16);
    two.extend(super::fixtures::picture(64, 48, 16));
    two.extend("-map 0 -map 1 -frames:v 9 -pix_fmt yuv420p".split(' ').map(str::to_owned));
    let two = std::fs::read(super::fixtures::drawn("two.mp4", &two)).expect("just drawn");
    let cases = vec![
        ("empty", Bytes::new()),
        ("text", Bytes::from_static(b"{\"error\": \"out of memory\"}")),
        ("noise", (0..60_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("matroska", yuv420p("plain.mkv", 9, "")),
        ("avi", yuv420p("plain.avi", 9, "-c:v libx264")),
        ("transport stream", yuv420p("plain.ts", 9, "-c:v libx264")),
        ("image", clip_of("image.png", SMALL, 1, "")),
        ("gif", clip_of("image.gif", SMALL, 9, "")),
        ("mpeg2", yuv420p("mpeg2.mp4", 9, "-c:v mpeg2video")),
        ("motion jpeg", clip_of("mjpeg.mov", SMALL, 9, "-c:v mjpeg -pix_fmt yuvj420p")),
        ("vp8", yuv420p("vp8.webm", 9, "-c:v libvpx")),
        ("two video streams", two.into()),
        ("no video", Bytes::from(sound_only())),
    ];
    expect(GateId::G13, cases).await;
}

fn sound_only() -> Vec<u8> {
    let arguments = "-f lavfi -i sine=duration=0.5".split(' ').map(str::to_owned).collect::<Vec<_>>();
    std::fs::read(super::fixtures::drawn("sound-only.mp4", &arguments)).expect("just drawn")
}
