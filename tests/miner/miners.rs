//! `leoma miners`: from the state folder, and asked now.

use std::{path::Path, process::Command};

use leoma::{
    chain::wallet::HotkeySigner,
    domain::{
        ids::{BlockNumber, NetUid, Uid},
        outcome::Fault,
        roster::{Precedence, RosterEntry, Standing},
    },
    miners::validity::Validity,
};
use serde_json::Value;

use super::{LEOMA, World, commitment, services};

fn miners(state: &Path, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(LEOMA);
    command.arg("miners").arg(format!("--set=state.dir={}", state.display())).args(flags);
    let output = command.output().expect("leoma runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_and_the_chain_say_who_is_valid() {
    let hotkey = HotkeySigner::from_seed([5; 32]).hotkey();
    let world = World::start(&[&commitment(hotkey).to_json()]).await;
    let state = world.folder.path().join("state");
    let (code, _, error) = miners(&state, &[]);
    assert_eq!(code, Some(3), "{error}");
    assert!(error.contains("--fresh"), "{error}");

    // What a validator saw before.
    std::fs::create_dir_all(&state).expect("folder");
    let mut before = Validity::new(NetUid(99));
    let entry = RosterEntry {
        uid: Uid(1),
        hotkey: world.hotkey,
        commitment: Some(commitment(world.hotkey)),
        precedence: Precedence { reveal_block: BlockNumber(999_000), index: 0, uid: Uid(1) },
        standing: Standing::Invalid { fault: Fault::Miner, reason: "chute_not_running".into() },
    };
    before.take(BlockNumber(10), &[entry]);
    before.write(&state).expect("written");
    let (code, text, error) = miners(&state, &[]);
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("invalid: chute_not_running"), "{text}");

    let explained = |miner: &str| {
        let state = format!("--set=state.dir={}", state.display());
        let output = Command::new(LEOMA).args(["explain", miner, &state]).output().expect("leoma runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let (code, text) = explained(&world.hotkey.to_string());
    assert!(code == Some(0) && text.contains("chute_not_running"), "{code:?} {text}");
    assert_eq!(explained(&HotkeySigner::from_seed([6; 32]).hotkey().to_string()).0, Some(3), "a stranger");
    assert_eq!(explained("not-a-hotkey").0, Some(2));

    let (_services, flags) = services(&world, true).await;
    let blacklist = world.folder.path().join("blacklist");
    std::fs::write(&blacklist, "# nobody\n").expect("written");
    let endpoint = world.devnet.url();
    let listed = format!("--set=miners.blacklist={}", blacklist.display());
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(["--fresh", "--json", "--subtensor.chain_endpoint", &endpoint, &listed]);
    let fresh = || {
        let (code, text, error) = miners(&state, &flags);
        assert_eq!(code, Some(0), "{error}");
        serde_json::from_str::<Value>(&text).expect("JSON")["miners"][0].clone()
    };
    let row = fresh();
    assert_eq!((&row["uid"], &row["state"]["kind"]), (&1.into(), &"valid".into()), "{row:#}");
    assert_eq!(row["history"][0]["state"]["reason"], "chute_not_running", "{row:#}");
    std::fs::write(&blacklist, format!("{} # by its operator\n", world.hotkey)).expect("written");
    let row = fresh();
    assert_eq!(row["state"]["reason"], "blacklisted", "{row:#}");
    assert!(row["advice"].as_str().is_some_and(|text| text.contains("operator")), "{row:#}");
    let kept = Validity::read(&state).expect("read").expect("there");
    assert_eq!(kept, before, "nothing is written by looking");
}
