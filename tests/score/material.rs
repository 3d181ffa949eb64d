//! A drawn scene cut to a small clip, and what miners might send for it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use leoma::{
    corpus::draw::{DrawOptions, draw_corpus},
    domain::{rules::Rules, scoring::GateMode},
};

/// A name that would leave its place in a page that does not escape.
pub const HOSTILE: &str = "<b>cut \"x\" &amp; 'y'.mp4";
/// A prompt likewise.
pub const PROMPT: &str = "a scene </dd><script>alert(1)</script> & more";

/// The files of these stories.
pub struct Material {
    folder: tempfile::TempDir,
}

/// Rules for small clips, so that a story takes seconds.
pub fn small_rules() -> Rules {
    shaped(Rules::embedded().without_models())
}

/// Rules for clips of the stories.
pub fn shaped(mut rules: Rules) -> Rules {
    rules.request.frames = 33;
    rules.request.width = 256;
    rules.request.height = 144;
    // Its honest clip is the real one, encoded anew.
    rules.scoring.gates.source_copy.mode = GateMode::Advisory;
    // Small drawn clips move less than real ones.
    rules.scoring.dynamics.min_reference_residual = 1;
    rules
}

impl Material {
    /// Made once for all stories.
    pub fn get() -> &'static Material {
        static MADE: OnceLock<Material> = OnceLock::new();
        MADE.get_or_init(Self::make)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn make() -> Self {
        let made = Self { folder: tempfile::tempdir().expect("folder") };
        let corpus = made.path("corpus");
        let drawn = DrawOptions {
            scenes: 1,
            frames: 96,
            width: 320,
            height: 184,
            ..DrawOptions::into_folder(&corpus)
        };
        let manifest = draw_corpus(&drawn, |_| {}).expect("ffmpeg with libx264 is installed");
        let source = corpus.join(&manifest.clips()[0].file);
        std::fs::rename(source, made.path("source.mp4")).expect("moved");
        let encode = "-frames:v 33 -an -pix_fmt yuv420p -c:v libx264 -preset veryfast -crf";
        made.ffmpeg(&format!("-i source.mp4 -vf crop=320:180,scale=256:144,fps=16 {encode} 8 real.mp4"));
        made.ffmpeg("-i real.mp4 -frames:v 1 -pix_fmt rgb24 first.png");
        made.ffmpeg(&format!("-i real.mp4 {encode} 18 honest.mp4"));
        made.ffmpeg(&format!("-loop 1 -framerate 16 -i first.png {encode} 20 freeze.mp4"));
        made.ffmpeg(&format!("-i real.mp4 -vf gblur=3 {encode} 20 blurred.mp4"));
        made.ffmpeg(&format!("-i real.mp4 -vf scale=128:72 {encode} 20 small.mp4"));
        made.ffmpeg("-i honest.mp4 -frames:v 20 -c:v libx264 -pix_fmt yuv420p short.mp4");
        made.ffmpeg("-i first.png -vf scale=128:72 -pix_fmt rgb24 small.png");
        let whole = std::fs::read(made.path("honest.mp4")).expect("just made");
        std::fs::write(made.path(HOSTILE), &whole[..whole.len() / 2]).expect("written");
        let rules = toml::to_string(&small_rules()).expect("rules");
        std::fs::write(made.path("rules.toml"), rules).expect("written");
        made
    }

    fn ffmpeg(&self, arguments: &str) {
        let output = Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
            .args(arguments.split_whitespace())
            .current_dir(self.folder())
            .output()
            .expect("ffmpeg is installed");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs `leoma score` in the folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_leoma"))
            .arg("score")
            .args(arguments)
            .current_dir(self.folder())
            .output()
            .expect("leoma starts")
    }

    /// Runs it on clips with everything that a round has.
    pub fn score(&self, clips: &[&str], more: &[&str]) -> Output {
        self.scene(clips, &[&["--rules", "rules.toml"], more].concat())
    }

    /// The same by other rules.
    pub fn scene(&self, clips: &[&str], more: &[&str]) -> Output {
        let scene = ["--first-frame", "first.png", "--prompt", PROMPT, "--reference", "real.mp4"];
        self.run(&[clips, &scene, more].concat())
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}
