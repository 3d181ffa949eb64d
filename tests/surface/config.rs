//! `leoma config` as an operator meets it: through the binary.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use leoma::config::{Config, ConfigError, ConfigSources, FlagValue, Origin, SecretSource};
use proptest::prelude::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

fn leoma(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leoma"));
    command.args(arguments).env_clear();
    command
}

fn config(action: &str, file: &Path) -> Command {
    let mut command = leoma(&["config", action, "--config"]);
    command.arg(file);
    command
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn said(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

#[test]
fn the_example_file_is_the_schema_and_its_values_are_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/validator.example.toml");
    let printed = said(&mut leoma(&["config", "example"]));
    let kept = std::fs::read_to_string(path).expect("kept in the repository");
    assert_eq!(kept, printed.out, "write it again: leoma config example > config/validator.example.toml");
    let sources = ConfigSources { file: Some(path.into()), ..ConfigSources::default() };
    let loaded = Config::load(&sources).expect("valid");
    assert_eq!(loaded.config, Config::default());
    let from_file = |origin: &Origin| matches!(origin, Origin::File { .. });
    assert!(from_file(loaded.origin("chain.netuid")) && from_file(loaded.origin("weights.submit")));
    assert_eq!(*loaded.origin("chain.hotkey_file"), Origin::Default);
}

#[test]
fn the_commented_examples_of_unset_values_are_valid_too() {
    let folder = Folder::new();
    let token = folder.file("token", "hf_x\n");
    let example = leoma::config::example()
        .replace("/etc/leoma/huggingface-token", &token.to_string_lossy())
        .replace("/etc/leoma/hotkey-password", &token.to_string_lossy())
        .replace("/etc/leoma/s3-secret", &token.to_string_lossy())
        // In place of a wallet, so not beside one.
        .replace("# hotkey_file = \"/etc/leoma/hotkey\"\n", "");
    let uncommented: String = example
        .lines()
        .map(|line| match line.strip_prefix("# ").filter(|rest| rest.contains(" = \"")) {
            Some(rest) if !rest.starts_with('`') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let file = folder.file("all.toml", &uncommented);
    let shown = said(config("show", &file).env("CHUTES_API_KEY", "cpk_x").env("AWS_ACCESS_KEY_ID", "AKIA"));
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let unset: Vec<_> = shown.out.lines().filter(|line| line.contains("is unset")).collect();
    assert!(unset.len() == 1 && unset[0].contains("chain.hotkey_file"), "{}", shown.out);
}

#[test]
fn the_flags_of_other_bittensor_software_set_the_same_values() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "[chain]\nnetuid = 1\n[wallet]\nhotkey = \"old\"\n");
    let flags = [
        ("--wallet.path", "/keys", "wallet.path = \"/keys\""),
        ("--wallet.name", "validator", "wallet.name = \"validator\""),
        ("--wallet.hotkey", "leoma", "wallet.hotkey = \"leoma\""),
        ("--netuid", "2", "chain.netuid = 2"),
        ("--subtensor.network", "local", "chain.endpoints = [\"ws://127.0.0.1:9944\"]"),
    ];
    let shown = said(config("show", &file).args(flags.iter().flat_map(|(flag, value, _)| [flag, value])));
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for (flag, _, line) in flags {
        let found = shown.out.lines().find(|shown| shown.starts_with(line));
        assert!(found.is_some_and(|line| line.contains(flag)), "{flag}: {}", shown.out);
    }
    let both = ["--subtensor.network", "test", "--subtensor.chain_endpoint", "ws://127.0.0.1:1"];
    assert_eq!(said(config("show", &file).args(both)).code, Some(2));
    let address = ["--subtensor.network", "ws://127.0.0.1:1"];
    assert!(said(config("show", &file).args(address)).out.contains("[\"ws://127.0.0.1:1\"]"));
    let named = said(config("check", &file).args(["--wallet.name", "../other"]));
    assert!(named.err.contains("`wallet.name`: expected a name without slashes"), "{}", named.err);
}

#[test]
fn a_sealed_hotkey_needs_its_password_and_only_one_hotkey_is_named() {
    let folder = Folder::new();
    let hotkeys = folder.0.path().join("validator/hotkeys");
    std::fs::create_dir_all(&hotkeys).expect("folders");
    std::fs::write(hotkeys.join("default"), include_bytes!("../golden/wallet/alice.nacl")).expect("written");
    let run = |extra: &[&str]| {
        let wallet =
            ["--wallet.name", "validator", "--subtensor.network", "ws://127.0.0.1:1", "--wallet.path"];
        let mut command = leoma(&["run"]);
        command
            .args(wallet)
            .arg(folder.0.path())
            .arg("--set")
            .arg(format!("state.dir={}", folder.0.path().display()));
        said(command.args(extra).stdin(std::process::Stdio::null()))
    };
    let silent = run(&[]);
    assert_eq!(silent.code, Some(3), "{}", silent.err);
    assert!(silent.err.contains("set wallet.password to env:NAME or file:PATH"), "{}", silent.err);
    let password = format!("wallet.password=file:{}", folder.file("password", "a wrong one\n").display());
    let wrong = run(&["--set", &password]);
    assert_eq!(wrong.code, Some(3), "{}", wrong.err);
    assert!(wrong.err.contains("the password does not open the hotkey file"), "{}", wrong.err);
    assert!(!wrong.err.contains("a wrong one"), "{}", wrong.err);
    let both = run(&["--set", "chain.hotkey_file=key"]);
    assert_eq!(both.code, Some(2), "{}", both.err);
    assert!(both.err.contains("chain.hotkey_file names a hotkey too"), "{}", both.err);
}

#[test]
fn each_layer_is_stronger_than_the_one_before_and_is_named() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "[chain]\nnetuid = 1\ncall_deadline_s = 2\nblock_watchdog_s = 3\n");
    let shown = said(
        config("show", &file)
            .args(["--set", "chain.block_watchdog_s=30"])
            .env("LEOMA_CHAIN__CALL_DEADLINE_S", "20")
            .env("LEOMA_CHAIN__BLOCK_WATCHDOG_S", "21"),
    );
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let line = |key: &str| {
        let found = shown.out.lines().find(|line| line.starts_with(key));
        found
            .unwrap_or_else(|| panic!("{key} in {}", shown.out))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("chain.netuid"), format!("chain.netuid = 1 # {}:2", file.display()));
    assert_eq!(
        line("chain.call_deadline_s"),
        "chain.call_deadline_s = 20 # environment LEOMA_CHAIN__CALL_DEADLINE_S"
    );
    assert_eq!(line("chain.block_watchdog_s"), "chain.block_watchdog_s = 30 # flag --set");
    assert_eq!(line("log.format"), "log.format = \"plain\" # default");
    assert!(toml::from_str::<toml::Table>(&shown.out).is_ok(), "shown values are TOML again");
}

#[test]
fn show_as_json_holds_value_and_source() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "web.listen = \"127.0.0.1:0\"\n");
    let shown = said(config("show", &file).arg("--json"));
    let json: serde_json::Value = serde_json::from_str(&shown.out).expect("json");
    assert_eq!(json["web.listen"]["value"], "127.0.0.1:0");
    assert_eq!(json["web.listen"]["source"]["kind"], "file");
    assert_eq!(json["web.listen"]["source"]["line"], 1);
    assert_eq!(json["chain.hotkey_file"]["value"], serde_json::Value::Null);
    assert_eq!(json["chain.netuid"]["source"]["kind"], "default");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_place() {
    let folder = Folder::new();
    let file = folder.file(
        "v.toml",
        "state = 5\n[chain]\nnetiud = 99\nnetuid = \"99\"\ncall_deadline_s = 0\nendpoints = [\"http://x\"]\n\
         [chian]\n[services]\nnetuid = 3\nchutes_api = \"http://chutes.ai\"\nlookup_timeout_s = 1.5\n\
         [scorer]\ndevice = \"toaster\"\n[weights]\nsubmit = 1\n",
    );
    let checked = said(
        config("check", &file)
            .args(["--set", "wbe.listen=127.0.0.1:1", "--set", "challenge.concurrency=many"])
            .env("LEOMA_CHAIN_NETUID", "5")
            .env("LEOMA_DECODE__WORKERS", "-3"),
    );
    assert_eq!((checked.code, checked.out.as_str()), (Some(2), ""));
    let at = |line: usize| format!("{}:{line}: ", file.display());
    for expected in [
        at(1) + "`state` is a section: write [state] and its keys below",
        at(3) + "unknown key `chain.netiud`; did you mean `chain.netuid`?",
        at(4) + "`chain.netuid`: expected a whole number, found text",
        at(5) + "`chain.call_deadline_s`: expected a whole number from 1 to 600, found 0",
        at(6) + "`chain.endpoints`: expected an address that starts with wss:// or ws://",
        at(7) + "unknown key `chian`; did you mean `chain`?",
        at(9) + "unknown key `services.netuid`; did you mean `chain.netuid`?",
        at(10) + "`services.chutes_api`: http:// is only for loopback",
        at(11) + "`services.lookup_timeout_s`: expected a whole number, found a number with a fraction",
        at(13) + "`scorer.device`: expected auto, cpu, gpu or gpu:NAME, found `toaster`",
        at(15) + "`weights.submit`: expected true or false, found a whole number",
        "environment LEOMA_CHAIN_NETUID: unknown key `LEOMA_CHAIN_NETUID`; did you mean `LEOMA_CHAIN__NETUID`?".into(),
        "environment LEOMA_DECODE__WORKERS: `decode.workers`: expected a whole number, found `-3`".into(),
        "flag --set: unknown key `wbe.listen`; did you mean `web.listen`?".into(),
        "flag --set: `challenge.concurrency`: expected a whole number, found `many`".into(),
    ] {
        assert!(checked.err.contains(&expected), "missing: {expected}\n{}", checked.err);
    }
    assert!(checked.err.starts_with("error: the configuration has 15 errors:"), "{}", checked.err);
}

#[test]
fn all_syntax_errors_are_placed_and_none_repeats_the_line() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "[services]\nchutes_key = \"cpk_hunter2\n[chain]\nnetuid = = 4\n");
    let checked = said(&mut config("check", &file));
    assert_eq!(checked.code, Some(2));
    assert!(checked.err.contains(&format!("{}:2:", file.display())), "{}", checked.err);
    assert!(checked.err.contains(&format!("{}:4:", file.display())), "{}", checked.err);
    assert!(!checked.err.contains("hunter2"), "{}", checked.err);
}

#[test]
fn a_good_file_is_confirmed_and_a_missing_one_has_its_own_exit_code() {
    let folder = Folder::new();
    let good = said(&mut config("check", &folder.file("v.toml", "[chain]\nnetuid = 2\n")));
    assert_eq!(good.code, Some(0), "{}", good.err);
    assert!(good.out.starts_with("ok: ") && good.out.contains("1 values from the file"), "{}", good.out);
    assert!(good.err.contains("warning: chain.hotkey_file and wallet.name are unset"), "{}", good.err);
    let missing = said(&mut config("check", &folder.0.path().join("none.toml")));
    assert_eq!(missing.code, Some(3));
    assert!(missing.err.contains("none.toml: cannot be read"), "{}", missing.err);
    let folder_given = said(&mut config("check", folder.0.path()));
    assert_eq!(folder_given.code, Some(3), "{}", folder_given.err);
}

#[test]
fn secrets_are_never_printed_whichever_way_they_come() {
    let folder = Folder::new();
    let token = folder.file("token", "hunter2-file\n");
    let file = folder.file(
        "v.toml",
        &format!(
            "[services]\nchutes_key = \"hunter2-literal\"\nhuggingface_token = \"file:{}\"\n\
             [chain]\nendpoints = [\"wss://user:hunter2-user@node:9944/hunter2-path?key=hunter2-query\"]\n",
            token.display()
        ),
    );
    for arguments in [&[][..], &["--json"][..]] {
        let shown = said(config("show", &file).args(arguments));
        assert_eq!(shown.code, Some(0), "{}", shown.err);
        assert!(!shown.out.contains("hunter2"), "{}", shown.out);
        assert!(shown.out.contains("***") && shown.out.contains("wss://node:9944/***"), "{}", shown.out);
    }
    let from_env = said(config("show", &file).env("LEOMA_SERVICES__CHUTES_KEY", "hunter2-env"));
    assert!(from_env.out.contains("environment LEOMA_SERVICES__CHUTES_KEY"), "{}", from_env.out);
    assert!(!from_env.out.contains("hunter2"), "{}", from_env.out);

    let wrong = folder.file(
        "w.toml",
        "services.chutes_key = [\"hunter2\"]\nservices.huggingface_token = \"hunter2 x\"\nchain.endpoints = [\"htp://hunter2\"]\n",
    );
    let refused = said(config("check", &wrong).args(["--set", "services.chutes_key=hunter2"]));
    assert_eq!(refused.code, Some(2));
    assert!(!refused.err.contains("hunter2"), "{}", refused.err);
    assert!(
        refused.err.contains("a secret on the command line is visible to every process"),
        "{}",
        refused.err
    );
}

#[test]
fn a_loaded_secret_is_whole_and_its_debug_text_is_not() {
    let flag = |key: &str, text: &str| FlagValue { flag: "--set".into(), key: key.into(), text: text.into() };
    let sources = ConfigSources {
        file: None,
        env: vec![("CHUTES".into(), "cpk_hunter2".into())],
        flags: vec![
            flag("services.chutes_key", "env:CHUTES"),
            flag("chain.endpoints", "ws://a:1, ws://b:2/key"),
        ],
    };
    let loaded = Config::load(&sources).expect("valid");
    let key = loaded.config.services.chutes_key.as_ref().expect("set");
    assert_eq!((key.expose(), key.source()), ("cpk_hunter2", &SecretSource::Env("CHUTES".into())));
    let endpoints: Vec<&str> =
        loaded.config.chain.endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
    assert_eq!(endpoints, ["ws://a:1", "ws://b:2/key"]);
    let debug = format!("{loaded:#?}");
    assert!(!debug.contains("hunter2") && !debug.contains("b:2/key"), "{debug}");
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let file = folder.file("v.toml", "services.chutes_key = \"cpk_hunter2\"\n");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("mode");
    mode(0o644);
    let open = said(&mut config("check", &file));
    assert!(open.err.contains("services.chutes_key is written in"), "{}", open.err);
    mode(0o600);
    let closed = said(&mut config("check", &file));
    assert!(!closed.err.contains("services.chutes_key"), "{}", closed.err);
}

#[test]
fn files_that_the_configuration_names_are_opened_by_check() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "chain.hotkey_file = \"none/key\"\nrules.file = \"none/rules\"\n");
    let checked = said(&mut config("check", &file));
    assert_eq!(checked.code, Some(2));
    assert!(
        checked.err.contains("v.toml:1: `chain.hotkey_file`: none/key cannot be read"),
        "{}",
        checked.err
    );
    assert!(checked.err.contains("v.toml:2: `rules.file`: none/rules cannot be read"), "{}", checked.err);
}

#[test]
fn other_variables_with_the_prefix_are_left_alone() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "");
    let checked = said(config("check", &file).env("LEOMA_CACHE", "/tmp").env("LEOMA_CONFIG", "/nonexistent"));
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    let meant = said(config("check", &file).env("LEOMA_WEB_PORT", "1").env("LEOMA_WBE__LISTEN", "x"));
    assert_eq!(meant.code, Some(2));
    assert!(meant.err.contains("unknown key `LEOMA_WEB_PORT`"), "{}", meant.err);
    assert!(meant.err.contains("did you mean `LEOMA_WEB__LISTEN`?"), "{}", meant.err);
}

#[test]
fn the_file_can_be_named_by_the_environment() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "chain.netuid = 7\n");
    let shown = said(leoma(&["config", "show"]).env("LEOMA_CONFIG", &file));
    assert!(shown.out.contains("chain.netuid = 7"), "{}{}", shown.out, shown.err);
}

/// Pieces of TOML, right and wrong, with a secret only where a value can stand.
const PIECES: &[&str] = &[
    "services.chutes_key",
    "[services]",
    "chutes_key",
    "huggingface_token",
    "=",
    "=",
    "\"hunter2\"",
    "\n",
    "\n",
    "[chain]",
    "netuid",
    "endpoints",
    "state",
    "99999999999999999999",
    "-1",
    "{",
    "}",
    "[",
    "]",
    ",",
    "é",
    "\u{0}",
    "1e9",
    "1979-05-27",
    "'''",
    "#",
    "[[]]",
    "true",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever stands in the file: an answer, never a panic, and no secret in it.
    #[test]
    fn no_file_breaks_the_reader_or_makes_it_repeat_a_secret(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14),
    ) {
        let folder = Folder::new();
        let file = folder.file("v.toml", &pieces.join(" "));
        let sources = ConfigSources { file: Some(file), ..ConfigSources::default() };
        match Config::load(&sources) {
            Ok(loaded) => prop_assert!(!loaded.to_text().contains("hunter2")),
            Err(errors) => {
                prop_assert!(!errors.0.is_empty());
                // A quoted text in a key's place is a key, and keys are named.
                let values = errors.0.iter().filter(|error| !matches!(error, ConfigError::UnknownKey { .. }));
                for error in values {
                    prop_assert!(!error.to_string().contains("hunter2") || shows_value(error), "{}", error);
                }
            }
        }
    }
}

/// Settings that are no secrets are named with the value that was refused.
fn shows_value(error: &ConfigError) -> bool {
    let secret = ["services.chutes_key", "services.huggingface_token", "chain.endpoints"];
    matches!(error, ConfigError::Value { key, .. } if !secret.contains(key))
}

#[test]
fn an_empty_variable_unsets_an_optional_value() {
    let folder = Folder::new();
    let file = folder.file("v.toml", "chain.hotkey_file = \"key\"\n");
    let shown = said(config("show", &file).env("LEOMA_CHAIN__HOTKEY_FILE", ""));
    assert!(shown.out.contains("# chain.hotkey_file is unset"), "{}", shown.out);
}

#[test]
fn help_version_and_usage_errors_have_their_exit_codes() {
    let help = said(&mut leoma(&["--help"]));
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("Examples:") && help.out.contains("Exit codes: 0 done"), "{}", help.out);
    assert!(!help.out.contains('\u{1b}'), "colours go to terminals only");
    let version = said(&mut leoma(&["--version"]));
    assert!(
        version.out.starts_with(concat!("leoma ", env!("CARGO_PKG_VERSION"), " (commit ")),
        "{}",
        version.out
    );
    assert_eq!(said(&mut leoma(&["cofnig"])).code, Some(2));
    assert_eq!(said(&mut leoma(&[])).code, Some(2));
    let set = said(&mut leoma(&["config", "check", "--set", "chain.netuid"]));
    assert_eq!(set.code, Some(2));
    assert!(set.err.contains("expected KEY=VALUE"), "{}", set.err);
}
