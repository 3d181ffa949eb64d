//! From footage to a corpus that rounds use: the command as an operator runs it, and captions from a service.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, OnceLock},
};

use leoma::{
    corpus::{
        Manifest,
        build::{BuildOptions, BuildReport, build, captions::Notes, survey::SurveyOptions},
        draw::{DrawOptions, draw_corpus},
        shelf::Shelf,
        vision::{Describer, VisionOptions},
    },
    decode::{Decoder, DecoderOptions},
    domain::{
        ids::{BlockHash, Digest},
        plan::ClipSpec,
        rules::EMBEDDED_RULES,
    },
};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    decoder,
    endpoint::{Answer, Endpoint},
    open, rules,
};

const SPEC: ClipSpec = ClipSpec { frames: 81, width: 208, height: 120, fps: 16 };
/// Seconds of each drawn scene.
const SECONDS: u32 = 10;

/// Runs ffmpeg, which stands in for whoever cut the footage.
fn ffmpeg(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]).args(arguments);
    let done = command.current_dir(folder).output().expect("ffmpeg is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Three drawn scenes as one would film them: one shot, two with a cut, two with a dissolve, and what cannot be used.
/// Made once, changed by nobody.
pub fn footage() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let raw = tempfile::tempdir().expect("temporary folder");
        let mut options = DrawOptions::into_folder(raw.path());
        (options.width, options.height, options.scenes, options.frames) = (208, 120, 3, SECONDS * 24);
        let drawn = draw_corpus(&options, |_| ()).expect("ffmpeg with libx264 is installed");
        let raw = raw.path();
        for (clip, name) in drawn.clips().iter().zip(["1.mp4", "2.mp4", "3.mp4"]) {
            fs::rename(raw.join(&clip.file), raw.join(name)).expect("renamed");
        }
        let at = |name: &str| folder.path().join(name).to_str().expect("plain path").to_owned();
        fs::copy(raw.join("1.mp4"), at("One shot.mp4")).expect("copied");
        fs::write(at("One shot.txt"), "A drawn scene\n moves.\n").expect("written");
        fs::copy(raw.join("1.mp4"), at("again.mp4")).expect("copied");
        let encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p"];
        let two = |filter: &str, name: &str| {
            let to = at(name);
            let inputs = ["-i", "2.mp4", "-i", "3.mp4", "-filter_complex", filter];
            ffmpeg(raw, &[&inputs[..], &encode[..], &[&to]].concat());
        };
        two("[0][1]concat", "cut.mp4");
        two("[0][1]xfade=duration=1:offset=9", "melt.mp4");
        fs::write(at("melt.txt"), "One thing becomes another.").expect("written");
        let still = at("still.mp4");
        ffmpeg(
            raw,
            &[&["-i", "1.mp4", "-vf", "loop=-1:1,trim=duration=8"][..], &encode[..], &[&still]].concat(),
        );
        fs::write(at("broken.mp4"), b"no video ".repeat(4_000)).expect("written");
        fs::write(at("tape.mov"), b"film").expect("written");
        folder
    });
    folder.path()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("plain path")
}

fn leoma(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leoma"));
    command.args(["corpus"]).args(arguments).current_dir(folder).output().expect("the binary runs")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A folder with rules under which everything that moves can be judged, and the arguments of a build in it.
pub struct Desk {
    folder: TempDir,
}

impl Desk {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let lenient = EMBEDDED_RULES.replace("min_reference_residual = 150", "min_reference_residual = 1");
        assert_ne!(lenient, EMBEDDED_RULES);
        fs::write(folder.path().join("rules.toml"), lenient).expect("written");
        let captions = "clip,caption\ncut-1.mp4,The first thing moves.\ncut-2.mp4,Another thing moves.\n";
        fs::write(folder.path().join("captions.csv"), captions).expect("written");
        Self { folder }
    }

    /// With a corpus of the footage in it; built once, copied for each.
    fn built() -> Self {
        static BUILT: OnceLock<Desk> = OnceLock::new();
        let built = BUILT.get_or_init(|| {
            let desk = Self::new();
            let output = desk.build(footage());
            assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
            desk
        });
        let desk = Self::new();
        fs::create_dir(desk.at("corpus")).expect("made");
        for clip in built.manifest().clips() {
            fs::copy(built.at("corpus").join(&clip.file), desk.at("corpus").join(&clip.file))
                .expect("copied");
        }
        fs::copy(built.at("corpus/corpus.toml"), desk.at("corpus/corpus.toml")).expect("copied");
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `build` and what follows it, for a corpus of small clips in this folder.
    pub fn build_arguments(&self, source: &str) -> Vec<String> {
        let always = ["--out", "corpus", "--licence", "CC0-1.0", "--captions", "captions.csv"];
        let small = ["--rules", "rules.toml", "--size", "208x120", "--min-clip-bytes", "1000", "--json"];
        [&["build", source], &always[..], &small[..]].concat().into_iter().map(str::to_owned).collect()
    }

    fn build(&self, source: &Path) -> Output {
        let arguments = self.build_arguments(path(source));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        leoma(self.path(), &arguments)
    }

    fn verify(&self) -> Output {
        let small = ["--rules", "rules.toml", "--size", "208x120", "--json"];
        leoma(self.folder.path(), &[&["verify", "--corpus", "corpus"][..], &small[..]].concat())
    }

    fn manifest(&self) -> Manifest {
        let text = fs::read(self.at("corpus/corpus.toml")).expect("a manifest");
        Manifest::parse(&text).expect("a sound manifest")
    }
}

fn keys(manifest: &Manifest) -> Vec<&str> {
    manifest.clips().iter().map(|clip| clip.key.as_str()).collect()
}

fn reason<'a>(report: &'a Value, name: &str) -> &'a str {
    let all = report["left_out"].as_array().expect("a list");
    let found = all.iter().find(|out| out["name"] == name);
    found.unwrap_or_else(|| panic!("{name} in {report}"))["reason"].as_str().expect("text")
}

#[tokio::test]
async fn footage_becomes_a_corpus_that_verifies_grows_and_serves_rounds() {
    let desk = Desk::new();
    let source = tempfile::tempdir().expect("temporary folder");
    for file in fs::read_dir(footage()).expect("footage").map(|file| file.expect("entry")) {
        fs::copy(file.path(), source.path().join(file.file_name())).expect("copied");
    }
    let output = desk.build(source.path());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report = json(&output);
    let manifest = desk.manifest();
    assert_eq!(keys(&manifest), ["One-shot.mp4", "cut-1.mp4", "cut-2.mp4"], "{report:#}");
    assert_eq!(report["corpus_digest"], manifest.digest().to_string());

    // Cuts and dissolves are where they were made, with the margins of rounds.
    let [one, first, second] = manifest.clips() else { panic!("{manifest:?}") };
    assert_eq!((one.from_ms, one.to_ms, one.caption.as_str()), (None, None, "A drawn scene moves."));
    assert_eq!((first.from_ms, first.to_ms), (None, Some(9_850)));
    assert_eq!((second.from_ms, second.to_ms), (Some(12_000), None));
    assert_eq!(second.caption, "Another thing moves.");
    for clip in manifest.clips() {
        let window = clip.window.as_ref().expect("pinned");
        assert_eq!(window.spec(), SPEC);
        assert!(clip.range_us().contains(&window.start_us));
        assert_eq!(Digest::of(&fs::read(desk.at("corpus").join(&clip.file)).expect("there")), clip.sha256);
    }
    assert!(reason(&report, "melt-1.mp4").contains("several shots and one caption"));
    assert!(reason(&report, "again.mp4").contains("the same file as One shot.mp4"), "{report:#}");
    assert!(reason(&report, "still.mp4").contains("frames per second"), "{report:#}");
    assert!(reason(&report, "broken.mp4").contains("decoder refuses"), "{report:#}");
    assert!(reason(&report, "tape.mov").contains("ffmpeg -i tape.mov"), "{report:#}");

    // What was pinned is derived anew and found.
    let verified = desk.verify();
    assert_eq!(verified.status.code(), Some(0), "{:#}", json(&verified));
    assert_eq!((&json(&verified)["usable"], &json(&verified)["differing"]), (&3.into(), &0.into()));

    // A second build changes nothing, and a third only adds what is new.
    let before = fs::read(desk.at("corpus/corpus.toml")).expect("a manifest");
    fs::remove_file(desk.at("corpus/cut.mp4")).expect("lost");
    let report = json(&desk.build(source.path()));
    assert!(desk.at("corpus/cut.mp4").is_file(), "a lost file comes back");
    assert_eq!((&report["added"], &report["clips"]), (&Value::Array(vec![]), &3.into()));
    assert_eq!(fs::read(desk.at("corpus/corpus.toml")).expect("a manifest"), before);
    fs::write(source.path().join("melt-2.txt"), "What it became moves on.").expect("written");
    fs::remove_file(source.path().join("cut.mp4")).expect("removed");
    let report = json(&desk.build(source.path()));
    assert_eq!(report["added"][0]["key"], "melt-2.mp4");
    let grown = desk.manifest();
    assert_eq!(keys(&grown), ["One-shot.mp4", "cut-1.mp4", "cut-2.mp4", "melt-2.mp4"]);
    assert!(manifest.clips().iter().all(|clip| grown.clips().contains(clip)), "what was there stays");
    // The dissolve lasts from 9 to 10 seconds; a clip begins two seconds after it.
    let melted = &grown.clips()[3];
    assert!((11_600..=12_600).contains(&melted.from_ms.expect("after the dissolve")), "{melted:?}");

    let corpus = open(&desk.at("corpus")).await;
    let mut used = BTreeSet::new();
    for _ in 0..4 {
        let clip = corpus.choose(&rules(SPEC), &BlockHash([9; 32]), &used).await.expect("a clip");
        assert!(used.insert(clip.choice.key.clone()));
        let again = corpus.prepare(&clip.choice, SPEC).await.expect("replays");
        assert_eq!(again.choice, clip.choice);
    }
}

#[test]
fn verify_says_what_differs() {
    let desk = Desk::built();
    let sound = fs::read_to_string(desk.at("corpus/corpus.toml")).expect("a manifest");
    let clips = desk.manifest().clips().to_vec();
    let rewrite = |change: &dyn Fn(&mut Vec<leoma::corpus::ClipEntry>)| {
        let mut changed = clips.clone();
        change(&mut changed);
        let manifest = Manifest::new(1_000, changed).expect("valid");
        fs::write(desk.at("corpus/corpus.toml"), manifest.to_toml()).expect("written");
        let output = desk.verify();
        assert_eq!(output.status.code(), Some(4), "{:#}", json(&output));
        json(&output)
    };
    let other = Digest::of(b"other");
    let report = rewrite(&|clips| clips[0].window.as_mut().expect("pinned").planes = other);
    let state = &report["clips"][0];
    assert_eq!((&state["state"], &state["differences"][0]["what"]), (&"differs".into(), &"planes".into()));
    assert_eq!(state["differences"][0]["manifest"], other.to_string());
    let report = rewrite(&|clips| clips[1].window.as_mut().expect("pinned").start_us += 1);
    assert_eq!(report["clips"][1]["differences"][0]["what"], "window");
    assert_eq!((&report["differing"], &report["usable"]), (&1.into(), &2.into()));

    fs::write(desk.at("corpus/corpus.toml"), &sound).expect("written");
    let file = desk.at("corpus").join(&clips[0].file);
    let mut content = fs::read(&file).expect("there");
    let last = content.len() - 1;
    content[last] ^= 1;
    fs::write(&file, content).expect("written");
    let output = desk.verify();
    assert_eq!((output.status.code(), &json(&output)["clips"][0]["state"]), (Some(4), &"altered".into()));
    assert_eq!(leoma(desk.folder.path(), &["verify", "--corpus", "nowhere"]).status.code(), Some(3));
}

#[test]
fn a_corpus_is_committed_to_once_and_opened_clip_by_clip() {
    let desk = Desk::built();
    let at = |arguments: &[&str]| leoma(desk.folder.path(), arguments);
    let publish = || at(&["publish", "--corpus", "corpus", "--to", "public", "--json"]);
    let (first, second) = (json(&publish()), json(&publish()));
    assert_eq!((&first["written"], &second["written"]), (&true.into(), &false.into()));
    assert_eq!((&first["clips"], &first["name"]), (&3.into(), &second["name"]));
    let public: Vec<_> = walk(&desk.at("public"));
    let name = first["name"].as_str().expect("text");
    assert_eq!(public, [desk.at("public").join(name)], "one file and nothing else");
    let text = fs::read_to_string(&public[0]).expect("there");
    for hidden in ["mp4", "drawn", "moves", &desk.manifest().clips()[0].sha256.to_string()] {
        assert!(!text.contains(hidden), "{hidden} in {text}");
    }

    let opened = at(&["open", "--corpus", "corpus", "--clip", "cut-2.mp4"]);
    assert_eq!(opened.status.code(), Some(0), "{}", String::from_utf8_lossy(&opened.stderr));
    fs::write(desk.at("opening.json"), &opened.stdout).expect("written");
    let commitment = path(&public[0]);
    let checked = at(&["check-opening", commitment, "opening.json"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.starts_with("opens position 2: cut-2.mp4"), "{said}");
    let forged = String::from_utf8_lossy(&opened.stdout).replace("Another thing", "A different thing");
    fs::write(desk.at("forged.json"), forged).expect("written");
    let checked = at(&["check-opening", commitment, "forged.json"]);
    assert_eq!(checked.status.code(), Some(4), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(at(&["open", "--corpus", "corpus", "--clip", "none.mp4"]).status.code(), Some(2));
    assert_eq!(at(&["publish", "--corpus", "s3://b/c", "--to", "public"]).status.code(), Some(2));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_service_writes_captions_within_its_budget_and_a_later_build_asks_for_the_rest() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = async |endpoint: &Endpoint, budget: u32, decoder: Arc<Decoder>| -> (BuildReport, u32) {
        let cache = folder.path().join("cache");
        let options = BuildOptions {
            source: Shelf::open(path(footage())).expect("footage"),
            skip: None,
            out: folder.path().join("corpus"),
            cache: cache.join("surveys"),
            survey: SurveyOptions { decoder, rules: rules(SPEC), part_seconds: None },
            notes: Notes::default(),
            licence: "CC0-1.0".into(),
            min_clip_bytes: 1_000,
            jobs: 2,
        };
        let vision = VisionOptions::new(endpoint.url.clone(), "describer-7b", cache.join("captions"));
        let describer = Describer::new(VisionOptions { budget, attempts: 1, ..vision }).expect("usable");
        let report = build(&options, Some(&describer), &|_| ()).await.expect("built");
        (report, describer.sent())
    };
    // One shot has its text; of four other shots one is described, one answer is of no use, two are over the budget.
    let endpoint = Endpoint::start(&[Answer::Caption, Answer::Page]).await;
    let (report, sent) = run(&endpoint, 2, decoder()).await;
    assert_eq!((report.clips, sent, endpoint.asked().len()), (2, 2, 2), "{report:#?}");
    let reasons: Vec<&str> = report.left_out.iter().map(|out| out.reason.as_str()).collect();
    assert_eq!(reasons.iter().filter(|why| why.contains("budget of 2")).count(), 2, "{reasons:#?}");
    assert_eq!(reasons.iter().filter(|why| why.contains("no chat completion")).count(), 1, "{reasons:#?}");
    let described = report.added.iter().find(|clip| clip.model.is_some()).expect("one by the model").clone();

    let (report, sent) = run(&endpoint, 50, decoder()).await;
    assert_eq!((report.clips, sent), (5, 3), "{report:#?}");
    let manifest = fs::read(folder.path().join("corpus/corpus.toml")).expect("a manifest");
    let manifest = Manifest::parse(&manifest).expect("sound");
    assert_eq!(keys(&manifest), ["One-shot.mp4", "cut-1.mp4", "cut-2.mp4", "melt-1.mp4", "melt-2.mp4"]);
    let kept = manifest.clips().iter().find(|clip| clip.key == described.key).expect("still there");
    assert_eq!(kept.caption, described.caption);
    for clip in &manifest.clips()[1..] {
        let by = clip.caption_by.as_ref().expect("the model is named");
        assert_eq!(by.model, "describer-7b");
    }
    // With the manifest lost, nothing is asked for or decoded anew: there is nobody who could decode.
    let nobody = Arc::new(Decoder::new(DecoderOptions::with_worker("/nonexistent/leoma".into())));
    fs::remove_file(folder.path().join("corpus/corpus.toml")).expect("removed");
    let (report, sent) = run(&endpoint, 50, nobody).await;
    assert_eq!((report.clips, sent), (5, 0));
    assert_eq!(report.corpus_digest, manifest.digest());
    // The pictures are of half the size and not all the same.
    let asked = endpoint.asked();
    let pictures = asked[0].body["messages"][0]["content"].as_array().expect("parts");
    let distinct: BTreeSet<String> = pictures[1..].iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), 4);
}
