//! How long a clip takes; run by name: `cargo test --test stories decode::speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use leoma::decode::{CropRect, ExtractRequest};

use super::fixtures::{FULL, decoder, full_path};

#[tokio::test]
#[ignore = "a measurement"]
async fn full_size_clip_through_the_child() {
    let bytes: bytes::Bytes = std::fs::read(full_path()).expect("just drawn").into();
    let decoder = decoder();
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        decoder.decode_clip(bytes.clone(), FULL).await.expect("passes");
        times.push(start.elapsed());
    }
    times.sort();
    let garbage = Instant::now();
    decoder.decode_clip(bytes::Bytes::from_static(b"x"), FULL).await.expect_err("refused");
    let spawn: Duration = garbage.elapsed();
    let scan = Instant::now();
    decoder.scan_source(bytes.clone()).await.expect("scans");
    let scan = scan.elapsed();
    let crop = CropRect { x: 0, y: 0, width: 832, height: 480 };
    let request = ExtractRequest { frames: (0..81).collect(), crop, width: 416, height: 240 };
    let extract = Instant::now();
    decoder.extract_source(bytes, &request).await.expect("extracts");
    println!("source: scan {scan:?}, extract and halve {:?}", extract.elapsed());
    println!("child: fastest {:?}, median {:?}; spawn and refusal {spawn:?}", times[0], times[4]);
}
