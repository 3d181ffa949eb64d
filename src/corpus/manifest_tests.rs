use super::*;

fn entry(key: &str) -> ClipEntry {
    ClipEntry {
        key: key.into(),
        file: String::new(),
        bytes: 2_000_000,
        sha256: Digest::of(key.as_bytes()),
        caption: "A red ball rolls over a wooden floor.".into(),
        licence: "CC0-1.0".into(),
        source: "drawn".into(),
        from_ms: None,
        to_ms: None,
        window: None,
        caption_by: None,
    }
}

fn window() -> ClipWindow {
    ClipWindow { start_us: 0, frames: 81, width: 832, height: 480, fps: 16, planes: Digest::of(b"planes") }
}

fn caption_by() -> CaptionSource {
    CaptionSource { model: "describer-7b".into(), prompt: Digest::of(b"prompt"), reply: Digest::of(b"reply") }
}

#[test]
fn a_manifest_of_version_1_keeps_its_digest_for_good() {
    // As the version before this one computed it: journals and bundles of older rounds name it.
    let mut part = entry("b.mp4");
    (part.from_ms, part.to_ms) = (Some(1_000), Some(9_000));
    let manifest = Manifest::new(0, vec![entry("a.mp4"), part]).expect("valid");
    assert!(manifest.to_toml().starts_with("version = 1\n"));
    assert_eq!(
        manifest.digest().to_string(),
        "b5105b0bee5a1939f753d7804ffe7001d1c9a279aa38ea91fb1f7ce39873b547"
    );
}

#[test]
fn what_version_2_added_is_kept_counted_and_refused_in_version_1() {
    let plain = Manifest::new(0, vec![entry("a.mp4")]).expect("valid");
    let added: [&dyn Fn(&mut ClipEntry); 2] =
        [&|clip| clip.window = Some(window()), &|clip| clip.caption_by = Some(caption_by())];
    for add in added {
        let mut clip = entry("a.mp4");
        add(&mut clip);
        let manifest = Manifest::new(0, vec![clip.clone(), entry("b.mp4")]).expect("valid");
        let text = manifest.to_toml();
        assert!(text.starts_with("version = 2\n"), "{text}");
        let again = Manifest::parse(text.as_bytes()).expect("own file form");
        assert_eq!((&again, again.digest()), (&manifest, manifest.digest()));
        assert_ne!(Manifest::new(0, vec![clip]).expect("valid").digest(), plain.digest());
        let old = text.replacen("version = 2", "version = 1", 1);
        assert!(problems(&old).join("\n").contains("need `version = 2`"));
    }
    let outside = ClipEntry { from_ms: Some(10), window: Some(window()), ..entry("a.mp4") };
    assert!(Manifest::new(0, vec![outside]).is_err());
    let nameless = CaptionSource { model: String::new(), ..caption_by() };
    assert!(Manifest::new(0, vec![ClipEntry { caption_by: Some(nameless), ..entry("a.mp4") }]).is_err());
}

fn problems(text: &str) -> Vec<String> {
    match Manifest::parse(text.as_bytes()) {
        Err(ManifestError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn a_manifest_survives_its_own_file_form_with_its_digest() {
    let manifest = Manifest::new(0, vec![entry("b.mp4"), entry("a.mp4")]).expect("valid");
    let again = Manifest::parse(manifest.to_toml().as_bytes()).expect("own file form");
    assert_eq!(manifest, again);
    assert_eq!(manifest.digest(), again.digest());
    assert_eq!(again.clips().iter().map(|clip| clip.key.as_str()).collect::<Vec<_>>(), ["a.mp4", "b.mp4"]);
    assert_eq!(again.clips()[0].file, "a.mp4");
}

#[test]
fn order_and_formatting_do_not_change_the_digest_but_every_field_does() {
    let digest = |change: &dyn Fn(&mut ClipEntry)| {
        let mut changed = entry("a.mp4");
        change(&mut changed);
        Manifest::new(0, vec![entry("b.mp4"), changed]).expect("valid").digest()
    };
    let base = digest(&|_| ());
    assert_eq!(base, Manifest::new(0, vec![entry("a.mp4"), entry("b.mp4")]).expect("valid").digest());
    let changes: [&dyn Fn(&mut ClipEntry); 7] = [
        &|clip| clip.key = "c.mp4".into(),
        &|clip| clip.file = "d.mp4".into(),
        &|clip| clip.bytes += 1,
        &|clip| clip.sha256 = Digest::of(b"other"),
        &|clip| clip.caption.push('!'),
        &|clip| clip.from_ms = Some(5),
        &|clip| clip.to_ms = Some(9_000),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_ne!(base, digest(change), "change {index}");
    }
    let other_floor = Manifest::new(1, vec![entry("a.mp4"), entry("b.mp4")]).expect("valid");
    assert_ne!(base, other_floor.digest());
}

#[test]
fn every_problem_is_named_at_once() {
    let text = format!(
        r#"
version = 3
speed = 3
[[clip]]
key = "../up.mp4"
bytes = 2000000
sha256 = "{digest}"
caption = "ok"
licence = "MIT"
source = "here"
[[clip]]
key = "small.mp4"
bytes = 10
sha256 = "{digest}"
caption = ""
licence = "MIT"
source = "here"
colour = "red"
[[clip]]
key = "bad.mp4"
bytes = "many"
sha256 = "xyz"
"#,
        digest = Digest::of(b"x")
    );
    let found = problems(&text).join("\n");
    for expected in [
        "manifest: version must be 1 or 2, got 3",
        "manifest: unknown key `speed`",
        "../up.mp4: key `../up.mp4` has an empty or hidden part",
        "small.mp4: unknown key `colour`",
        "small.mp4: bytes must be 1000000 to 200000000, got 10",
        "small.mp4: caption must be one line",
        "bad.mp4: ",
        "ranges must be disjoint",
    ] {
        assert!(found.contains(expected), "missing `{expected}` in:\n{found}");
    }
}

#[test]
fn parts_of_one_file_must_not_overlap() {
    let part = |key: &str, from, to| ClipEntry {
        file: "long.mp4".into(),
        sha256: Digest::of(b"long"),
        from_ms: Some(from),
        to_ms: Some(to),
        ..entry(key)
    };
    assert!(Manifest::new(0, vec![part("a.mp4", 0, 8_000), part("b.mp4", 8_000, 16_000)]).is_ok());
    assert!(Manifest::new(0, vec![part("a.mp4", 0, 8_001), part("b.mp4", 8_000, 16_000)]).is_err());
    assert!(Manifest::new(0, vec![part("a.mp4", 0, 8_000), part("b.mp4", 9_000, 9_000)]).is_err());
    assert!(Manifest::new(0, vec![entry("a.mp4"), entry("a.mp4")]).is_err());
}

#[test]
fn the_floor_is_one_megabyte_unless_the_manifest_lowers_it() {
    let text = |top: &str, bytes: u64| {
        let mut clip = entry("a.mp4");
        clip.bytes = bytes;
        format!("version = 1\n{top}\n[[clip]]\n{}", toml::to_string(&clip).expect("plain table"))
    };
    assert!(Manifest::parse(text("", 1_000_000).as_bytes()).is_ok());
    assert!(Manifest::parse(text("", 999_999).as_bytes()).is_err());
    assert!(Manifest::parse(text("min_clip_bytes = 1000", 999_999).as_bytes()).is_ok());
    assert!(Manifest::parse(text("min_clip_bytes = 0", 200_000_001).as_bytes()).is_err());
    assert!(Manifest::parse(text("min_clip_bytes = -1", 2_000_000).as_bytes()).is_err());
}

#[test]
fn an_oversized_or_binary_file_is_refused() {
    let large = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert!(matches!(Manifest::parse(&large), Err(ManifestError::TooLarge { .. })));
    assert!(matches!(Manifest::parse(&[0xff, 0xfe]), Err(ManifestError::Text(_))));
    assert!(matches!(Manifest::parse(b"version ="), Err(ManifestError::Parse(_))));
}
