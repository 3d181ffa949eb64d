//! How honest clips, opponents and attacks stand, for the table of `docs/scoring.md`.
//!
//! `opponents [--attacks] [--long] FILE[@SECOND]...`: every window of 81 frames of a video is a task. One line per clip:
//! the real clip encoded anew, the three stand-ins of the demo, every opponent, and with `--attacks` every attack. With
//! `--long` opponents are as long as the clips. Needs `ffmpeg`.

use std::{
    error::Error,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use leoma_core::{
    domain::rules::Rules,
    quality::{
        frame::Yuv420Clip,
        opponents::{PreparedTask, Standing, TaskInput, standing},
        temporal::terms::steady_motion,
        verdict::{JudgeInput, Verdict, judge_measured},
    },
};
use leoma_film::{
    attacks::{Attack, File, Material},
    transfer::{Scene, TransferStyle},
};

type Failure = Box<dyn Error>;

const WIDTH: usize = 832;
const HEIGHT: usize = 480;
const FRAMES: usize = 81;

fn planes(data: Vec<u8>) -> Result<Yuv420Clip, Failure> {
    let frames = (data.len() / Yuv420Clip::frame_bytes(WIDTH, HEIGHT)).min(FRAMES);
    let data = data[..frames * Yuv420Clip::frame_bytes(WIDTH, HEIGHT)].to_vec();
    Ok(Yuv420Clip::from_planes(WIDTH, HEIGHT, frames, data)?)
}

fn decode(file: &Path, second: &str, filter: &str) -> Result<Yuv420Clip, Failure> {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-ss", second, "-i"])
        .arg(file)
        .args(["-vf", filter, "-frames:v", "81", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
        .stderr(Stdio::inherit())
        .output()?;
    planes(out.stdout)
}

fn encoded(clip: &Yuv420Clip, crf: u8) -> Result<Yuv420Clip, Failure> {
    let file = std::env::temp_dir().join(format!("leoma-opponents-{}.mp4", std::process::id()));
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", "832x480"])
        .args([
            "-framerate",
            "16",
            "-i",
            "-",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            &crf.to_string(),
        ])
        .arg(&file)
        .stdin(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no pipe")?.write_all(clip.as_bytes())?;
    child.wait()?;
    let back = decode(&file, "0", "null");
    std::fs::remove_file(&file)?;
    back
}

struct Task {
    name: String,
    real: Yuv420Clip,
    first_frame: Yuv420Clip,
    rules: Rules,
    prepared: PreparedTask,
}

impl Task {
    fn of(window: &str, long: bool) -> Result<Self, Failure> {
        let (file, second) = window.split_once('@').unwrap_or((window, "0"));
        let real = decode(Path::new(file), second, "fps=16,scale=832:480:flags=bicubic")?;
        let frame = real.as_bytes()[..Yuv420Clip::frame_bytes(WIDTH, HEIGHT)].to_vec();
        let first_frame = Yuv420Clip::from_planes(WIDTH, HEIGHT, 1, frame)?;
        // No part of a comparison with opponents.
        let mut rules = Rules::embedded().without_models();
        rules.request.frames = real.len() as u32;
        if long {
            rules.scoring.opponents.frames = FRAMES as u32;
        }
        let task = TaskInput {
            first_frame: &first_frame,
            reference: &real,
            rules: &rules,
            prompt: "",
            others: &[],
            models: None,
        };
        let prepared = PreparedTask::of(&task)?;
        let name =
            Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name: format!("{name}@{second}"), real, first_frame, rules, prepared })
    }

    fn show(&self, clip: &str, text: &str) {
        println!("{:<18} {clip:<22} {text}", self.name);
    }

    fn opponents(&self) {
        let (reference, rules) = (&self.prepared.reference, &self.rules.scoring);
        self.show(
            "reference",
            &format!("residual {} steady {}", reference.layer_residual(), steady_motion(&reference.flow)),
        );
        let Some(opponents) = &self.prepared.opponents else { return };
        for (opponent, measures) in &opponents.clips {
            let Some(Standing { quality, life, living }) =
                standing(&opponents.first, measures, reference, rules)
            else {
                continue;
            };
            let raw = (measures.layer_residual(), steady_motion(&measures.flow));
            let text =
                format!("quality {quality:>5} life {life:>5} living {living:>5} residual, steady {raw:?}");
            self.show(&format!("= {opponent:?}"), &text);
        }
    }

    fn judge(&self, name: &str, clip: &Yuv420Clip) -> Result<(), Failure> {
        let input = JudgeInput {
            clip,
            first_frame: &self.first_frame,
            reference: Some(&self.real),
            prompt: "",
            others: &[],
            models: None,
            rules: &self.rules,
        };
        let text = match judge_measured(&input, &self.prepared)? {
            Verdict::Gated { gate, reason, .. } => format!("{gate} {reason}"),
            Verdict::Scored(card) => {
                let standing = card.opponents.map_or("null".to_owned(), |r| {
                    format!(
                        "quality {:>5} life {:>5} living {:>5} against {:>5} {:?} {}",
                        r.quality,
                        r.life,
                        r.living,
                        r.best_living,
                        r.best,
                        if r.beaten { "beaten" } else { "NOT beaten" }
                    )
                });
                let fired: Vec<_> = card.gates.iter().filter(|(_, g)| g.fired).map(|(id, _)| id).collect();
                let passed = if card.passed { "passes" } else { "fails " };
                format!("{:>5} {passed} {standing} fired {fired:?}", card.overall)
            }
        };
        self.show(name, &text);
        Ok(())
    }

    fn honest(&self) -> Result<Yuv420Clip, Failure> {
        for crf in [18, 28, 34] {
            self.judge(&format!("real crf {crf}"), &encoded(&self.real, crf)?)?;
        }
        let scene = Scene::read(Arc::new(self.first_frame.clone()), &self.real);
        let mut sharp = None;
        for (name, pace, softness, crf) in
            [("sharp", 1.0, 0.0, 17), ("lively", 1.3, 0.2, 23), ("soft", 0.7, 0.45, 29)]
        {
            let clip = scene.render(TransferStyle { pace, softness }, self.real.len());
            self.judge(&format!("stand-in {name}"), &encoded(&clip, crf)?)?;
            sharp.get_or_insert(clip);
        }
        for pace in [0.15, 0.25, 0.4] {
            let clip = scene.render(TransferStyle { pace, softness: 0.0 }, self.real.len());
            self.judge(&format!("stand-in pace {pace}"), &encoded(&clip, 23)?)?;
        }
        sharp.ok_or_else(|| "no stand-in".into())
    }

    fn attacks(&self, honest: &Yuv420Clip) -> Result<(), Failure> {
        let material = Material {
            first_frame: &self.first_frame,
            frames: self.real.len(),
            prompt: "A beautiful, moving and perfect picture",
            honest: Some(honest),
            other: None,
            real: Some(&self.real),
        };
        for attack in Attack::ALL {
            for variant in 0..attack.variants().len() {
                // What lies in the file, in the shape or in foreign pictures is the business of `leoma evaluate`.
                let Ok(clip) = attack.film(variant, &material) else { continue };
                if matches!(attack.file(variant), File::Otherwise(_)) || clip.len() != self.real.len() {
                    continue;
                }
                self.judge(&format!("! {} {variant}", attack.name()), &encoded(&clip, 20)?)?;
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let (options, windows): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|a| a.starts_with("--"));
    let has = |name: &str| options.iter().any(|option| option == name);
    for window in windows {
        let task = Task::of(&window, has("--long"))?;
        task.opponents();
        if has("--opponents") {
            continue;
        }
        let honest = task.honest()?;
        if has("--attacks") {
            task.attacks(&honest)?;
        }
    }
    Ok(())
}
