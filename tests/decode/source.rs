//! Clips of our own corpus: scanned for their frame times, cut, cropped and scaled.

use std::path::Path;

use bytes::Bytes;
use leoma::{
    decode::{CropRect, DecodeError, ExtractRequest},
    domain::{outcome::Fault, plan::ClipSpec},
    quality::resample::{Area, PlaneRef, resample_plane, thumbnail},
};

use super::fixtures::{clip_path, decoder, raw_planes};

/// 20 frames of 160x90 at 25 frames per second.
const SPEC: ClipSpec = ClipSpec { frames: 20, width: 160, height: 90, fps: 25 };
const FRAME: usize = 160 * 90 * 3 / 2;

fn read(path: &Path) -> Bytes {
    std::fs::read(path).expect("just drawn").into()
}

fn plain() -> std::path::PathBuf {
    clip_path("source.mp4", SPEC, 20, "-pix_fmt yuv420p")
}

fn whole(frames: Vec<u32>) -> ExtractRequest {
    ExtractRequest { frames, crop: CropRect { x: 0, y: 0, width: 160, height: 90 }, width: 160, height: 90 }
}

#[tokio::test]
async fn a_scan_gives_every_frames_time_and_thumbnail() {
    let path = plain();
    let scan = decoder().scan_source(read(&path)).await.expect("scans");
    assert_eq!((scan.width, scan.height, scan.thumb_width, scan.thumb_height), (160, 90, 64, 36));
    let times: Vec<u64> = scan.frames.iter().map(|frame| frame.pts_us).collect();
    assert_eq!(times, (0..20).map(|i| i * 40_000).collect::<Vec<_>>());
    let raw = raw_planes(&path);
    for (index, frame) in scan.frames.iter().enumerate() {
        let luma = PlaneRef { data: &raw[index * FRAME..][..160 * 90], width: 160, height: 90 };
        assert_eq!(frame.thumb, thumbnail(luma, (64, 36)).expect("valid"), "frame {index}");
    }
}

#[tokio::test]
async fn a_variable_rate_keeps_its_own_times() {
    let jump = "-pix_fmt yuv420p -vf setpts=if(gt(N\\,4)\\,N+3\\,N)/25/TB -vsync vfr";
    let scan = decoder().scan_source(read(&clip_path("vfr.mp4", SPEC, 8, jump))).await.expect("scans");
    let times: Vec<u64> = scan.frames.iter().map(|frame| frame.pts_us / 1000).collect();
    assert_eq!(times, [0, 40, 80, 120, 160, 320, 360, 400]);
}

#[tokio::test]
async fn every_source_codec_extracts_the_decoders_own_planes() {
    let decoder = decoder();
    for (name, more) in [
        ("source.mp4", "-pix_fmt yuv420p"),
        ("source-part2.mp4", "-pix_fmt yuv420p -c:v mpeg4"),
        ("source-vp9.mp4", "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8"),
        ("source-hevc.mp4", "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none"),
        ("source-av1.mp4", "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -usage realtime"),
    ] {
        let path = clip_path(name, SPEC, 20, more);
        let picks = [0, 3, 3, 7, 19];
        let clip = decoder
            .extract_source(read(&path), &whole(picks.to_vec()))
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let raw = raw_planes(&path);
        let expected: Vec<u8> =
            picks.iter().flat_map(|&pick| &raw[pick as usize * FRAME..][..FRAME]).copied().collect();
        assert!(clip.as_bytes() == expected, "{name}: planes differ");
    }
}

#[tokio::test]
async fn crops_are_scaled_by_our_own_resampler() {
    let path = plain();
    let crop = CropRect { x: 12, y: 4, width: 120, height: 80 };
    let request = ExtractRequest { frames: vec![5], crop, width: 64, height: 96 };
    let clip = decoder().extract_source(read(&path), &request).await.expect("extracts");
    let raw = raw_planes(&path);
    let frame = &raw[5 * FRAME..][..FRAME];
    let (luma, chroma) = frame.split_at(160 * 90);
    let luma = PlaneRef { data: luma, width: 160, height: 90 };
    let area = Area { x: 12, y: 4, width: 120, height: 80 };
    assert_eq!(clip.frame(0).y, resample_plane(luma, area, 64, 96).expect("valid"));
    let half = Area { x: 6, y: 2, width: 60, height: 40 };
    for (seen, data) in [clip.frame(0).u, clip.frame(0).v].into_iter().zip(chroma.chunks(80 * 45)) {
        let plane = PlaneRef { data, width: 80, height: 45 };
        assert_eq!(seen, resample_plane(plane, half, 32, 48).expect("valid"));
    }
}

#[tokio::test]
async fn full_range_sources_come_back_in_limited_range() {
    let white = "-vf drawbox=c=white:t=fill,scale=out_range=full -pix_fmt yuvj420p -color_range pc";
    let path = clip_path("white.mp4", SPEC, 3, white);
    let clip = decoder().extract_source(read(&path), &whole(vec![1])).await.expect("extracts");
    let luma = clip.frame(0).y;
    assert!(luma.iter().all(|&y| (233..=235).contains(&y)), "white is {:?}", &luma[..4]);
}

#[tokio::test]
async fn what_a_source_cannot_give_is_our_fault_and_says_why() {
    let path = plain();
    let beyond = decoder().extract_source(read(&path), &whole(vec![0, 20])).await.expect_err("20 frames");
    assert!(matches!(&beyond, DecodeError::Source { reason } if reason.contains("frame 20")), "{beyond}");
    let crop = CropRect { x: 2, y: 0, width: 160, height: 90 };
    let outside = ExtractRequest { crop, ..whole(vec![0]) };
    let outside = decoder().extract_source(read(&path), &outside).await.expect_err("too wide");
    assert!(matches!(outside, DecodeError::Source { .. }), "{outside}");
    let cut = read(&path);
    let cut = decoder().scan_source(cut.slice(..cut.len() / 2)).await.expect_err("no index left");
    let deep = clip_path("deep.mp4", SPEC, 3, "-pix_fmt yuv420p10le");
    let deep = decoder().scan_source(read(&deep)).await.expect_err("10 bit");
    for error in [beyond, outside, cut, deep] {
        assert_eq!(error.fault(), Fault::Us, "{error}");
        assert_eq!(error.gate(), None);
    }
}
