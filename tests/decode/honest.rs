//! Files that honest tools write with their own settings must pass, bit for bit.

use leoma::decode::{Codec, ContainerKind};

use super::fixtures::{FULL, SMALL, clip_of, clip_path, decoder, full_path, raw_planes};

#[tokio::test]
async fn a_full_size_libx264_clip_passes_and_its_planes_are_the_decoders_own() {
    let path = full_path();
    let bytes: bytes::Bytes = std::fs::read(&path).expect("just drawn").into();
    let decoder = decoder();
    let (one, two) =
        tokio::join!(decoder.decode_clip(bytes.clone(), FULL), decoder.decode_clip(bytes.clone(), FULL));
    let (one, two) = (one.expect("passes"), two.expect("passes"));
    assert_eq!(one.frames.digest(), two.frames.digest());
    assert!(one.frames.as_bytes() == raw_planes(&path), "planes differ from the ffmpeg command line");
    assert_eq!((one.facts.container, one.facts.codec), (ContainerKind::Mp4, Codec::H264));
    assert_eq!(one.facts.decoded_frames, 81);
    assert_eq!(one.facts.bit_rate, bytes.len() as u64 * 8 * 16 / 81);
}

#[tokio::test]
async fn every_allowed_codec_and_container_passes_with_its_own_settings() {
    let cases = [
        ("bframes.mp4", "-pix_fmt yuv420p", ContainerKind::Mp4, Codec::H264),
        ("plain.mov", "-pix_fmt yuv420p -c:v libx264", ContainerKind::Mov, Codec::H264),
        ("front.mp4", "-pix_fmt yuv420p -movflags +faststart", ContainerKind::Mp4, Codec::H264),
        ("parts.mp4", "-pix_fmt yuv420p -movflags frag_keyframe+empty_moov", ContainerKind::Mp4, Codec::H264),
        ("baseline.mp4", "-pix_fmt yuv420p -profile:v baseline", ContainerKind::Mp4, Codec::H264),
        ("slow.mp4", "-pix_fmt yuv420p -preset veryslow -crf 17", ContainerKind::Mp4, Codec::H264),
        ("lossless.mp4", "-pix_fmt yuv420p -qp 0", ContainerKind::Mp4, Codec::H264),
        (
            "tagged.mp4",
            "-pix_fmt yuv420p -color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv",
            ContainerKind::Mp4,
            Codec::H264,
        ),
        (
            "hevc.mp4",
            "-pix_fmt yuv420p -c:v libx265 -x265-params log-level=none",
            ContainerKind::Mp4,
            Codec::Hevc,
        ),
        ("vp9.webm", "-pix_fmt yuv420p -c:v libvpx-vp9", ContainerKind::Webm, Codec::Vp9),
        ("vp9.mp4", "-pix_fmt yuv420p -c:v libvpx-vp9", ContainerKind::Mp4, Codec::Vp9),
        ("av1.webm", "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8", ContainerKind::Webm, Codec::Av1),
        ("av1.mp4", "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8", ContainerKind::Mp4, Codec::Av1),
        // What OpenCV's VideoWriter writes for `mp4v`, and with it diffusers where imageio is absent.
        ("part2.mp4", "-pix_fmt yuv420p -c:v mpeg4 -tag:v mp4v", ContainerKind::Mp4, Codec::Mpeg4),
    ];
    let decoder = decoder();
    for (name, more, container, codec) in cases {
        let path = clip_path(name, SMALL, SMALL.frames, more);
        let bytes = std::fs::read(&path).expect("just drawn").into();
        let clip = decoder.decode_clip(bytes, SMALL).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((clip.facts.container, clip.facts.codec), (container, codec), "{name}");
        assert!(clip.frames.as_bytes() == raw_planes(&path), "{name}: planes differ");
    }
}

/// MPEG-4 part 2 leaves the inverse transform open: the planes must be those of the plain C code of a
/// machine without vector instructions.
#[tokio::test]
async fn mpeg4_planes_do_not_depend_on_the_processor() {
    let path = clip_path("part2-long.mp4", FULL, 12, "-pix_fmt yuv420p -c:v mpeg4 -q:v 2");
    let spec = leoma::domain::plan::ClipSpec { frames: 12, ..FULL };
    let clip =
        decoder().decode_clip(std::fs::read(&path).expect("drawn").into(), spec).await.expect("passes");
    let plain = super::fixtures::raw_planes_with(&path, "-cpuflags 0 -flags bitexact -idct simple");
    assert!(clip.frames.as_bytes() == plain, "planes differ from those of plain C code");
}

#[tokio::test]
async fn webm_ticks_of_62_and_63_ms_are_a_constant_rate() {
    let bytes = clip_of("long.webm", SMALL, 40, "-pix_fmt yuv420p -c:v libvpx-vp9");
    let spec = leoma::domain::plan::ClipSpec { frames: 40, ..SMALL };
    let clip = decoder().decode_clip(bytes, spec).await.expect("passes");
    assert_eq!((clip.facts.time_base_numerator, clip.facts.time_base_denominator), (1, 1000));
}

#[tokio::test]
async fn audio_beside_the_video_is_ignored() {
    let audio = "-f lavfi -i sine=duration=0.5 -map 0:v -map 1:a -pix_fmt yuv420p";
    // The second input must come before the output options: drawn with its own argument list.
    let mut arguments = super::fixtures::picture(64, 48, 16);
    arguments.extend(audio.split_whitespace().map(str::to_owned));
    arguments.extend(["-frames:v", "9"].map(str::to_owned));
    for name in ["sound.mp4", "sound.mov"] {
        let bytes = std::fs::read(super::fixtures::drawn(name, &arguments)).expect("just drawn").into();
        let clip = decoder().decode_clip(bytes, SMALL).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(clip.facts.audio_streams, 1);
    }
}

#[tokio::test]
async fn up_to_four_surplus_frames_are_cut() {
    let longer = clip_path("longer.mp4", SMALL, 13, "-pix_fmt yuv420p");
    let bytes = std::fs::read(&longer).expect("just drawn").into();
    let clip = decoder().decode_clip(bytes, SMALL).await.expect("four more are cut");
    assert_eq!((clip.frames.len(), clip.facts.decoded_frames), (9, 13));
    assert!(clip.frames.as_bytes() == &raw_planes(&longer)[..clip.frames.as_bytes().len()]);
}
