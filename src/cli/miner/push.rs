//! `leoma miner push`: the chute file of a model, and its deployment by the `chutes` tool.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, anyhow};
use clap::Args;

use super::{confirm, refuse_faults, usage};
use crate::{
    cli::{
        config::ConfigArgs,
        exit::{Exit, Failure, after_help},
        hotkey,
    },
    domain::{commitment::Commitment, ids::Hotkey},
};

/// The chute file, with `@NAME@` where a model's own values go.
const TEMPLATE: &str = include_str!("chute.py");
/// Its name without the ending: the tool imports it as a Python module.
const MODULE: &str = "leoma_chute";
/// The tool of Chutes.
const TOOL: &str = "chutes";
/// Most characters of a user name on Chutes.
const MAX_USERNAME: usize = 63;

/// Write the chute file of a model and deploy it with the chutes tool
///
/// Without the tool on the PATH, or with --no-deploy, the file is written and what to do next is
/// printed. The chute takes a model that diffusers loads as an image-to-video pipeline: look
/// through the file before it is deployed.
#[derive(Args)]
#[command(after_help = after_help!(
    "leoma miner push --model someone/leoma-wan-5Grw...utQY --revision 0123...4567 --username someone --wallet.name miner",
    "leoma miner push --model someone/leoma-wan-5Grw...utQY --revision 0123...4567 --username someone --hotkey 5Grw...utQY --no-deploy",
))]
pub struct PushArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Repository on Hugging Face; its name starts with leoma and ends with the hotkey
    #[arg(long, value_name = "USER/NAME")]
    model: String,
    /// Full commit hash of the repository, 40 hexadecimal digits
    #[arg(long, value_name = "SHA")]
    revision: String,
    /// User name on Chutes
    #[arg(long, value_name = "NAME")]
    username: String,
    /// The miner's hotkey [default: the hotkey of the configuration]
    #[arg(long, value_name = "SS58")]
    hotkey: Option<Hotkey>,
    /// Folder for the chute file
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Only write the file
    #[arg(long)]
    no_deploy: bool,
    /// Do not ask before deploying, which Chutes charges for
    #[arg(long, short = 'y')]
    yes: bool,
}

impl PushArgs {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let hotkey = match self.hotkey {
            Some(hotkey) => hotkey,
            None => hotkey::signer(&self.config.load()?.config)?
                .map(|signer| signer.hotkey())
                .ok_or_else(|| usage("no hotkey is named: --hotkey SS58, or --wallet.name NAME"))?,
        };
        let commitment = Commitment {
            model_name: self.model.clone(),
            model_revision: self.revision.to_ascii_lowercase(),
            // Chutes gives the id only when the chute is deployed.
            chute_id: "later".to_owned(),
        };
        refuse_faults(&commitment, &hotkey)?;
        check_username(&self.username)?;
        let file = self.out.join(MODULE).with_extension("py");
        write_new(&file, &chute_file(&commitment, &self.username))?;
        println!("wrote {}", file.display());
        match tool_on_path().filter(|_| !self.no_deploy) {
            Some(tool) => self.deploy(&tool)?,
            None => self.print_steps(),
        }
        Ok(Exit::Ok.into())
    }

    fn deploy(&self, tool: &Path) -> Result<(), Failure> {
        if !self.yes {
            confirm("Build and deploy it on Chutes, which charges your account?")?;
        }
        for arguments in steps() {
            println!("{TOOL} {}", arguments.join(" "));
            let ended = Command::new(tool).args(&arguments).current_dir(&self.out).status();
            let ended = ended.with_context(|| format!("running {}", tool.display()))?;
            if !ended.success() {
                let text = anyhow!("`{TOOL} {}` failed: {ended}", arguments.join(" "));
                return Err(Failure::new(Exit::Internal, text));
            }
        }
        println!("next, with the chute id that was printed:\n  {}", self.commit_line());
        Ok(())
    }

    fn print_steps(&self) {
        let steps = steps().map(|arguments| format!("{TOOL} {}", arguments.join(" ")));
        let mut lines =
            vec![format!("look through {MODULE}.py: image, GPU and pipeline must suit your model")];
        if tool_on_path().is_none() {
            lines.push(format!("pip install {TOOL}"));
            lines.push(format!("{TOOL} register    # once for an account"));
        }
        if self.out != Path::new(".") {
            lines.push(format!("cd {}", self.out.display()));
        }
        lines.extend(steps);
        lines.push(self.commit_line());
        println!("what to do next:");
        for (number, line) in lines.iter().enumerate() {
            println!("  {}. {line}", number + 1);
        }
    }

    fn commit_line(&self) -> String {
        format!("leoma miner commit --model {} --revision {} --chute CHUTE_ID", self.model, self.revision)
    }
}

/// Argument lists of the tool, in order.
fn steps() -> [Vec<String>; 2] {
    let chute = format!("{MODULE}:chute");
    [
        vec!["build".into(), chute.clone(), "--wait".into()],
        vec!["deploy".into(), chute, "--accept-fee".into()],
    ]
}

fn tool_on_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(TOOL)).find(|tool| tool.is_file())
}

/// The name goes into a Python text.
fn check_username(name: &str) -> Result<(), Failure> {
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if fits && (1..=MAX_USERNAME).contains(&name.len()) {
        return Ok(());
    }
    Err(usage(format_args!(
        "--username {name:?}: a user name on Chutes has up to {MAX_USERNAME} letters, digits, `-`, `_` and `.`"
    )))
}

/// The chute file of a checked commitment: every value has only characters that mean nothing in a
/// Python text.
fn chute_file(commitment: &Commitment, username: &str) -> String {
    TEMPLATE
        .replace("@MODEL@", &commitment.model_name)
        .replace("@REVISION@", &commitment.model_revision)
        .replace("@USERNAME@", username)
        .replace("@NAME@", &commitment.repository().to_ascii_lowercase())
}

/// Writes a file that does not exist yet, or has this content already.
fn write_new(path: &Path, content: &str) -> Result<(), Failure> {
    let failed = |cause: std::io::Error| {
        Failure::new(Exit::Unreadable, anyhow!(cause).context(format!("cannot write {}", path.display())))
    };
    if std::fs::read(path).is_ok_and(|old| old == content.as_bytes()) {
        return Ok(());
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(content.as_bytes()).map_err(failed),
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => Err(usage(format_args!(
            "{} exists and has another content: move it away, or name another folder with --out",
            path.display()
        ))),
        Err(cause) => Err(failed(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::miners::protocol::GenerateBody;

    fn commitment() -> Commitment {
        Commitment {
            model_name: format!("someone/leoma-Wan-{}", Hotkey([7; 32])),
            model_revision: "0123456789abcdef0123456789abcdef01234567".into(),
            chute_id: "later".into(),
        }
    }

    #[test]
    fn the_chute_reads_every_field_that_validators_send() {
        let body = GenerateBody {
            prompt: String::new(),
            image: String::new(),
            fps: 16,
            frames: 81,
            num_frames: 81,
            resolution: "480p".into(),
            width: 832,
            height: 480,
            fast: true,
            seed: 1,
        };
        let sent = serde_json::to_value(body).expect("JSON");
        let file = chute_file(&commitment(), "someone");
        for field in sent.as_object().expect("an object").keys() {
            assert!(file.contains(&format!("\n    {field}: ")), "{field}");
        }
        for name in ["@MODEL@", "@REVISION@", "@USERNAME@", "@NAME@"] {
            assert!(TEMPLATE.contains(name) && !file.contains(name), "{name}");
        }
        assert!(file.contains(&commitment().model_name) && file.contains(&commitment().model_revision));
    }

    #[test]
    fn user_names_that_would_end_the_python_text_are_refused() {
        for name in ["", "a\"b", "a\nb", "a\\", "ü", &"u".repeat(64)] {
            assert_eq!(check_username(name).expect_err(name).exit(), Exit::Usage);
        }
        assert!(check_username("some-one_1.x").is_ok());
    }

    #[test]
    fn a_file_of_somebody_s_own_is_never_replaced() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("leoma_chute.py");
        write_new(&file, "a").expect("new");
        write_new(&file, "a").expect("the same");
        assert_eq!(write_new(&file, "b").expect_err("another").exit(), Exit::Usage);
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "a");
    }
}
