//! Hotkey files: what a validator's operator may put there, and what must be refused.

use std::{fs, path::PathBuf};

use leoma::chain::wallet::{HotkeySigner, WalletError, hotkey_path};
use proptest::prelude::*;
use serde_json::{Value, json};
use subxt_signer::sr25519;

// Substrate's published development key `//Alice`, in the three forms a hotkey file can hold.
const ADDRESS: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
const PUBLIC: &str = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
const SEED: &str = "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";
const EXPANDED: &str = "0x33a6f3093f158a7109f679410bef1a0c54168145e0cecb4df006c1c2fffb1f09\
                        925a225d97aa00682d6a59b95b18780c10d7032336e88f3442b42361f4a66011";
// The same secret with the scalar in ed25519's form, as polkadot-js exports it.
const ED25519_FORM: &str = "0x98319d4ff8a9508c4bb0cf0b5a78d760a0b2082c02775e6e82370816fedfff48\
                            925a225d97aa00682d6a59b95b18780c10d7032336e88f3442b42361f4a66011";
// Substrate's published development phrase and its root address.
const PHRASE: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";
const PHRASE_ADDRESS: &str = "5DfhGyQdFobKM8NsWvEeAKk5EQQgYe9AydgJ7rMB6E1EqRzV";

fn full_file() -> Value {
    json!({
        "accountId": PUBLIC, "publicKey": PUBLIC, "ss58Address": ADDRESS, "cryptoType": 1,
        "secretSeed": SEED, "privateKey": EXPANDED, "secretPhrase": null,
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut file = full_file();
    file[field] = value;
    file
}

fn read(file: &Value) -> Result<HotkeySigner, WalletError> {
    from_bytes(file.to_string().as_bytes())
}

/// What a file's bytes are read as, without a password.
fn from_bytes(bytes: &[u8]) -> Result<HotkeySigner, WalletError> {
    HotkeySigner::from_bytes(bytes, || None)
}

fn assert_signs(signer: &HotkeySigner) {
    let signature = sr25519::Signature(signer.sign(b"message"));
    let public = sr25519::PublicKey(signer.hotkey().0);
    assert!(sr25519::verify(&signature, b"message", &public));
    assert!(!sr25519::verify(&signature, b"another", &public));
}

#[test]
fn every_form_of_secret_gives_the_published_address_and_a_valid_signature() {
    let cases = [
        ("all fields", full_file(), ADDRESS),
        ("seed only", json!({ "secretSeed": SEED }), ADDRESS),
        ("seed without 0x", json!({ "secretSeed": &SEED[2..] }), ADDRESS),
        ("expanded key only", json!({ "privateKey": EXPANDED, "publicKey": PUBLIC }), ADDRESS),
        ("phrase only", json!({ "secretPhrase": PHRASE, "ss58Address": PHRASE_ADDRESS }), PHRASE_ADDRESS),
        ("unknown fields", json!({ "secretSeed": SEED, "name": "x", "nested": { "a": [1] } }), ADDRESS),
        ("no crypto type, as old files", json!({ "secretSeed": SEED, "ss58Address": ADDRESS }), ADDRESS),
        ("null fields", json!({ "secretSeed": SEED, "accountId": null, "cryptoType": null }), ADDRESS),
    ];
    for (case, file, address) in cases {
        let signer = read(&file).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(signer.hotkey().to_string(), address, "{case}");
        assert_signs(&signer);
    }
}

#[test]
fn the_seed_goes_before_the_phrase_and_the_phrase_before_the_expanded_key() {
    let all = json!({ "secretSeed": SEED, "secretPhrase": PHRASE, "privateKey": EXPANDED });
    assert_eq!(read(&all).expect("a key").hotkey().to_string(), ADDRESS);
    let two = json!({ "secretPhrase": PHRASE, "privateKey": EXPANDED });
    assert_eq!(read(&two).expect("a key").hotkey().to_string(), PHRASE_ADDRESS);
}

#[test]
fn a_file_whose_public_fields_belong_to_another_key_is_refused() {
    let other = format!("0x{}", "ab".repeat(32));
    for (field, value) in [
        ("publicKey", json!(other)),
        ("accountId", json!(other)),
        ("ss58Address", json!(PHRASE_ADDRESS)),
        ("publicKey", json!("0x12")),
        ("ss58Address", json!("not an address")),
        ("accountId", json!("")),
    ] {
        match read(&with(field, value.clone())) {
            Err(WalletError::Mismatch { field: named, derived }) => {
                assert_eq!((named, derived.to_string().as_str()), (field, ADDRESS));
            }
            other => panic!("{field} = {value}: {other:?}"),
        }
    }
    // A changed secret shows the same way.
    let seed = format!("0x{}", "01".repeat(32));
    assert!(matches!(read(&with("secretSeed", json!(seed))), Err(WalletError::Mismatch { .. })));
    // And so does an expanded key in another library's form.
    let foreign = json!({ "privateKey": ED25519_FORM, "publicKey": PUBLIC });
    assert!(matches!(
        read(&foreign),
        Err(WalletError::Mismatch { .. } | WalletError::BadSecret { field: "privateKey", .. })
    ));
}

#[test]
fn malformed_secrets_are_named_and_never_quoted() {
    let cases = [
        ("secretSeed", json!("0x1234")),
        ("secretSeed", json!(format!("{SEED}00"))),
        ("secretSeed", json!("zz".repeat(32))),
        ("secretPhrase", json!("bottom drive obey lake curtain smoke basket hold race lonely fit drive")),
        ("secretPhrase", json!("hunter2 hunter2")),
        ("privateKey", json!(SEED)),
        ("privateKey", json!("f".repeat(128))),
    ];
    for (field, value) in cases {
        let error = read(&json!({ field: value })).expect_err("a refusal");
        assert!(matches!(error, WalletError::BadSecret { field: named, .. } if named == field), "{error:?}");
        let text = format!("{error} {error:?}");
        let secret = value.as_str().expect("text");
        assert!(!text.contains(secret) && !text.contains("hunter2"), "{text}");
    }
    // serde would quote the value of a field of the wrong type.
    let error = read(&json!({ "secretSeed": SEED, "cryptoType": "hunter2" })).expect_err("a refusal");
    assert!(matches!(error, WalletError::Malformed { .. }));
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn other_kinds_of_files_are_refused_by_kind() {
    let outdated = |kind| Err(WalletError::Outdated { kind });
    let outcome = |bytes: &[u8]| from_bytes(bytes).map(|signer| signer.hotkey());
    assert_eq!(outcome(b"$NACL\x00\x01binary"), Err(WalletError::PasswordNeeded));
    assert_eq!(outcome(b"$ANSIBLE_VAULT;1.1;AES256\n6162"), outdated("Ansible vault"));
    assert_eq!(outcome(b"gAAAAABkZmFrZQ=="), outdated("Fernet"));
    assert_eq!(outcome(json!({ "publicKey": PUBLIC }).to_string().as_bytes()), Err(WalletError::NoSecret));
    for crypto_type in [0, 2, 7] {
        let file = with("cryptoType", json!(crypto_type)).to_string();
        assert_eq!(outcome(file.as_bytes()), Err(WalletError::CryptoType { found: crypto_type }));
    }
    assert_eq!(outcome(&vec![b' '; (64 << 10) + 1]), Err(WalletError::TooLarge));
    for text in [
        "",
        "{",
        "[]",
        "null",
        "\"0x12\"",
        "{\"secretSeed\": 7}",
        "{\"secretSeed\":\"a\",\"secretSeed\":\"b\"}",
    ] {
        assert!(matches!(outcome(text.as_bytes()), Err(WalletError::Malformed { .. })), "{text}");
    }
    let help = WalletError::Outdated { kind: "Fernet" }.to_string();
    assert!(help.contains("regen-hotkey"), "{help}");
}

/// Written by the official wallet: tests/golden/wallet/make.py.
const SEALED: &[u8] = include_bytes!("../golden/wallet/alice.nacl");
const PASSWORD: &str = "pass phrase für Leoma";

#[test]
fn a_file_that_the_official_wallet_sealed_opens_by_its_password_and_by_no_other() {
    let with = |bytes: &[u8], password: &str| {
        HotkeySigner::from_bytes(bytes, || Some(password.to_owned().into())).map(|signer| signer.hotkey())
    };
    let signer =
        HotkeySigner::from_bytes(SEALED, || Some(PASSWORD.to_owned().into())).expect("the password is right");
    assert_eq!(signer.hotkey().to_string(), ADDRESS);
    assert_signs(&signer);
    assert_eq!(with(SEALED, "pass phrase fur Leoma"), Err(WalletError::WrongPassword));
    // A file that ends before its content begins costs no time.
    for length in [5, 28] {
        assert_eq!(with(&SEALED[..length], PASSWORD), Err(WalletError::WrongPassword), "{length}");
    }
    // Nobody is asked about a file that is not sealed.
    let plain = include_bytes!("../golden/wallet/alice.json");
    let signer = HotkeySigner::from_bytes(plain, || unreachable!("not sealed")).expect("a key");
    assert_eq!(signer.hotkey().to_string(), ADDRESS);
}

#[test]
fn a_coldkey_is_refused_before_it_is_opened() {
    for name in ["wallets/validator/coldkey", "wallets/validator/coldkeypub.txt", "coldkey"] {
        let refused = HotkeySigner::read_file(name.as_ref()).expect_err("a coldkey");
        assert_eq!(refused, WalletError::Coldkey { path: name.into() });
    }
    let hotkey = HotkeySigner::read_file("wallets/validator/hotkeys/coldkey".as_ref());
    assert!(matches!(hotkey, Err(WalletError::File { .. })), "a hotkey may have any name: {hotkey:?}");
}

#[test]
fn a_written_file_reads_back_and_only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let phrase = json!({ "secretPhrase": PHRASE });
    let expanded = json!({ "privateKey": EXPANDED });
    let signers = [
        HotkeySigner::generate(),
        HotkeySigner::from_seed([9; 32]),
        read(&phrase).expect("a key"),
        read(&expanded).expect("a key"),
    ];
    for (index, signer) in signers.iter().enumerate() {
        let path = hotkey_path(folder.path(), "validator", &format!("key{index}"));
        signer.write_file(&path).expect("written");
        let again = HotkeySigner::read_file(&path).expect("read");
        assert_eq!(again.hotkey(), signer.hotkey());
        assert_signs(&again);
        let file: Value = serde_json::from_str(&fs::read_to_string(&path).expect("text")).expect("JSON");
        assert_eq!(file["ss58Address"], signer.hotkey().to_string());
        assert_eq!(file["cryptoType"], 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
        }
        // The only copy of a key is never replaced.
        let refused = HotkeySigner::generate().write_file(&path);
        assert!(matches!(refused, Err(WalletError::File { .. })));
        assert_eq!(HotkeySigner::read_file(&path).expect("still there").hotkey(), signer.hotkey());
    }
    assert_eq!(
        fs::read_dir(folder.path().join("validator/hotkeys")).expect("listing").count(),
        signers.len()
    );
}

#[test]
fn missing_files_folders_and_oversized_files_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing: PathBuf = folder.path().join("absent");
    let error = HotkeySigner::read_file(&missing).expect_err("missing");
    assert!(error.to_string().contains("absent"), "{error}");
    assert!(matches!(HotkeySigner::read_file(folder.path()), Err(WalletError::File { .. })));
    let large = folder.path().join("large");
    fs::write(&large, vec![b' '; 1 << 20]).expect("written");
    assert_eq!(HotkeySigner::read_file(&large).map(|signer| signer.hotkey()), Err(WalletError::TooLarge));
}

#[test]
fn a_signer_shows_its_address_and_nothing_else() {
    let signer = read(&full_file()).expect("a key");
    assert_eq!(format!("{signer:?}"), format!("HotkeySigner({ADDRESS})"));
    assert_eq!(format!("{:?}", signer.clone()), format!("{signer:?}"));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = from_bytes(&bytes);
    }

    #[test]
    fn any_field_values_are_refused_or_read_without_panic(
        field in prop::sample::select(vec![
            "accountId", "publicKey", "ss58Address", "secretSeed", "secretPhrase", "privateKey",
        ]),
        value in "\\PC{0,200}",
    ) {
        // Nothing but the right value may stand in a field that takes part.
        let changed = full_file()[field] != json!(value);
        let outcome = read(&with(field, json!(value)));
        if changed && field != "privateKey" && field != "secretPhrase" {
            prop_assert!(outcome.is_err());
        }
        let _ = read(&json!({ field: value }));
    }

    #[test]
    fn one_changed_byte_never_gives_another_key(at in 0_usize..1_000, byte in any::<u8>()) {
        let mut bytes = full_file().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(signer) = from_bytes(&bytes) {
            prop_assert_eq!(signer.hotkey().to_string(), ADDRESS);
        }
    }

    #[test]
    fn every_seed_round_trips_through_its_file(seed in any::<[u8; 32]>()) {
        let signer = HotkeySigner::from_seed(seed);
        let file = json!({ "secretSeed": hex::encode(seed), "ss58Address": signer.hotkey().to_string() });
        prop_assert_eq!(read(&file).expect("a key").hotkey(), signer.hotkey());
        assert_signs(&signer);
    }
}
