//! A miner's commitment: which model it entered and where that model answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{BlockNumber, Hotkey};

/// Most bytes that a revealed commitment may have.
pub const MAX_COMMITMENT_BYTES: usize = 4096;
/// Most entries that a hotkey may have revealed.
pub const MAX_COMMITMENTS: usize = 2;
/// Deepest nesting of arrays and objects in a commitment; an honest one has 1.
const MAX_NESTING: usize = 8;
/// Longest part of a repository name, as on Hugging Face.
const MAX_NAME_PART: usize = 96;
/// Longest chute id; the real ones are UUIDs of 36 characters.
const MAX_CHUTE_ID: usize = 64;
/// How a repository's name starts, in any letter case.
const NAME_PREFIX: &str = "leoma";

/// The JSON that a miner reveals on chain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Commitment {
    /// Hugging Face repository `user/leoma-...<hotkey>`.
    pub model_name: String,
    /// Full commit hash of the repository, 40 hexadecimal digits in lower case.
    pub model_revision: String,
    /// Chute that serves the model.
    pub chute_id: String,
}

/// One revealed entry of a hotkey, framing removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RevealedEntry<'a> {
    /// Block of the reveal.
    pub reveal_block: BlockNumber,
    /// The revealed bytes: UTF-8 JSON when the miner did it right.
    pub data: &'a [u8],
}

/// Why a hotkey's commitment does not count. Always the miner's own doing; the text is the reason
/// code, in the community's spelling where it has one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum CommitmentFault {
    /// Nothing was revealed.
    #[error("missing_commitment")]
    Missing,
    /// The operator's list excludes the hotkey.
    #[error("blacklisted")]
    Blacklisted,
    /// More than [`MAX_COMMITMENTS`] entries were revealed.
    #[error("max_commits_exceeded_2")]
    TooMany,
    /// Too long, not UTF-8, not a JSON object, or nested too deeply.
    #[error("malformed_commitment")]
    Malformed,
    /// `model_name` is absent, empty or not a string.
    #[error("missing_model_name")]
    MissingModelName,
    /// `model_revision` is absent, empty or not a string.
    #[error("missing_model_revision")]
    MissingModelRevision,
    /// `chute_id` is absent, empty or not a string.
    #[error("missing_chute_id")]
    MissingChuteId,
    /// The repository's name does not start with `leoma`.
    #[error("model_name_must_start_with_leoma")]
    NamePrefix,
    /// The repository's name does not end with the hotkey.
    #[error("model_name_must_end_with_hotkey")]
    NameSuffix,
    /// `model_name` is not `user/name` in the characters of Hugging Face.
    #[error("malformed_model_name")]
    MalformedModelName,
    /// `model_revision` is not 40 hexadecimal digits.
    #[error("malformed_model_revision")]
    MalformedModelRevision,
    /// `chute_id` has more than 64 characters or others than letters, digits, `-` and `_`.
    #[error("malformed_chute_id")]
    MalformedChuteId,
}

/// Reads the newest of a hotkey's revealed entries (the last of those with the highest reveal
/// block) and holds it against every rule that needs no look-up.
pub fn read_newest(
    entries: &[RevealedEntry<'_>],
    hotkey: &Hotkey,
) -> Result<(Commitment, BlockNumber), CommitmentFault> {
    let newest = entries.iter().max_by_key(|entry| entry.reveal_block).ok_or(CommitmentFault::Missing)?;
    if entries.len() > MAX_COMMITMENTS {
        return Err(CommitmentFault::TooMany);
    }
    let commitment = Commitment::parse(newest.data)?;
    commitment.check_owner(hotkey)?;
    commitment.check_form()?;
    Ok((commitment, newest.reveal_block))
}

impl Commitment {
    /// Reads a commitment from revealed bytes: bounded size and depth, UTF-8, a JSON object with the
    /// three fields. Of a repeated key the last counts, as in the community's own tools.
    pub fn parse(data: &[u8]) -> Result<Self, CommitmentFault> {
        if data.len() > MAX_COMMITMENT_BYTES || json_nesting(data) > MAX_NESTING {
            return Err(CommitmentFault::Malformed);
        }
        let text = std::str::from_utf8(data).map_err(|_| CommitmentFault::Malformed)?;
        let fields: Map<String, Value> =
            serde_json::from_str(text).map_err(|_| CommitmentFault::Malformed)?;
        Ok(Self {
            model_name: text_field(&fields, "model_name", CommitmentFault::MissingModelName)?,
            model_revision: text_field(&fields, "model_revision", CommitmentFault::MissingModelRevision)?
                .to_ascii_lowercase(),
            chute_id: text_field(&fields, "chute_id", CommitmentFault::MissingChuteId)?,
        })
    }

    /// The repository's name: the part of `model_name` after the last `/`.
    pub fn repository(&self) -> &str {
        self.model_name.rsplit('/').next().unwrap_or(&self.model_name)
    }

    /// The JSON text that a miner commits.
    pub fn to_json(&self) -> String {
        // Three strings: it can not fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Every rule that this commitment of a hotkey breaks, as far as no look-up is needed; none
    /// when [`read_newest`] takes it.
    pub fn faults(&self, hotkey: &Hotkey) -> Vec<CommitmentFault> {
        let unless_empty = |field: &str, missing, rules: &[Result<(), CommitmentFault>]| match field {
            "" => vec![missing],
            _ => rules.iter().filter_map(|rule| rule.err()).collect(),
        };
        let name = [self.check_name_start(), self.check_name_end(hotkey), self.check_name_form()];
        [
            unless_empty(&self.model_name, CommitmentFault::MissingModelName, &name),
            unless_empty(
                &self.model_revision,
                CommitmentFault::MissingModelRevision,
                &[self.check_revision_form()],
            ),
            unless_empty(&self.chute_id, CommitmentFault::MissingChuteId, &[self.check_chute_form()]),
        ]
        .concat()
    }

    /// Whether the repository's name starts with `leoma` and ends with the hotkey, both in any
    /// letter case.
    pub fn check_owner(&self, hotkey: &Hotkey) -> Result<(), CommitmentFault> {
        self.check_name_start()?;
        self.check_name_end(hotkey)
    }

    /// Whether the three fields have the characters and lengths that may go into an address.
    pub fn check_form(&self) -> Result<(), CommitmentFault> {
        self.check_name_form()?;
        self.check_revision_form()?;
        self.check_chute_form()
    }

    fn check_name_start(&self) -> Result<(), CommitmentFault> {
        let starts = self.repository().to_ascii_lowercase().starts_with(NAME_PREFIX);
        starts.then_some(()).ok_or(CommitmentFault::NamePrefix)
    }

    fn check_name_end(&self, hotkey: &Hotkey) -> Result<(), CommitmentFault> {
        let hotkey = hotkey.to_string().to_ascii_lowercase();
        let ends = self.repository().to_ascii_lowercase().ends_with(&hotkey);
        ends.then_some(()).ok_or(CommitmentFault::NameSuffix)
    }

    fn check_name_form(&self) -> Result<(), CommitmentFault> {
        match self.model_name.split_once('/') {
            Some((user, name)) if is_name_part(user) && is_name_part(name) => Ok(()),
            _ => Err(CommitmentFault::MalformedModelName),
        }
    }

    fn check_revision_form(&self) -> Result<(), CommitmentFault> {
        let revision = self.model_revision.as_bytes();
        let digits = revision.len() == 40 && revision.iter().all(u8::is_ascii_hexdigit);
        digits.then_some(()).ok_or(CommitmentFault::MalformedModelRevision)
    }

    fn check_chute_form(&self) -> Result<(), CommitmentFault> {
        let id = self.chute_id.as_bytes();
        let id_character = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let fits = !id.is_empty() && id.len() <= MAX_CHUTE_ID && id.iter().all(id_character);
        fits.then_some(()).ok_or(CommitmentFault::MalformedChuteId)
    }
}

fn text_field(
    fields: &Map<String, Value>,
    key: &str,
    missing: CommitmentFault,
) -> Result<String, CommitmentFault> {
    match fields.get(key).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(missing),
    }
}

/// One side of `user/name`: never `.`, `..` or anything that changes meaning inside a path.
fn is_name_part(part: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !part.is_empty() && part.len() <= MAX_NAME_PART && !part.starts_with('.') && part.bytes().all(character)
}

/// Deepest nesting of arrays and objects in a JSON text, without reading it: brackets outside
/// strings. On bytes that are not JSON the number means nothing, but it is found all the same.
pub fn json_nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

    fn hotkey() -> Hotkey {
        Hotkey([7; 32])
    }

    fn model_name() -> String {
        format!("someone/leoma-wan-{}", hotkey())
    }

    fn json(name: &str, revision: &str, chute: &str) -> Vec<u8> {
        serde_json::json!({"model_name": name, "model_revision": revision, "chute_id": chute})
            .to_string()
            .into_bytes()
    }

    fn read(data: &[u8]) -> Result<Commitment, CommitmentFault> {
        let entry = RevealedEntry { reveal_block: BlockNumber(9), data };
        read_newest(&[entry], &hotkey()).map(|(commitment, block)| {
            assert_eq!(block, BlockNumber(9));
            commitment
        })
    }

    #[test]
    fn a_right_commitment_is_read_and_its_revision_is_in_lower_case() {
        let upper = REVISION.to_ascii_uppercase();
        let commitment = read(&json(&model_name(), &upper, "chute-1_A")).expect("right");
        assert_eq!(commitment.model_revision, REVISION);
        assert_eq!(commitment.model_name, model_name());
        assert_eq!(commitment.chute_id, "chute-1_A");
    }

    #[test]
    fn prefix_and_hotkey_of_the_name_are_compared_in_any_letter_case() {
        for name in [
            format!("u/LeOmA{}", hotkey()),
            format!("u/leoma-x-{}", hotkey().to_string().to_ascii_lowercase()),
            format!("u/leoma-x-{}", hotkey().to_string().to_ascii_uppercase()),
        ] {
            assert!(read(&json(&name, REVISION, "c")).is_ok(), "{name}");
        }
    }

    #[test]
    fn every_reason_is_reached_by_what_it_names() {
        let name = model_name();
        let other = Hotkey([8; 32]);
        let long = format!("{}/leoma-{}", "u".repeat(97), hotkey());
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(20), "]".repeat(20));
        let padded = format!("{}{}", String::from_utf8_lossy(&json(&name, REVISION, "c")), " ".repeat(4096));
        let table: Vec<(&str, Vec<u8>)> = vec![
            ("malformed_commitment", b"".to_vec()),
            ("malformed_commitment", b"not json".to_vec()),
            ("malformed_commitment", b"[1,2]".to_vec()),
            ("malformed_commitment", b"\"text\"".to_vec()),
            ("malformed_commitment", vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']),
            ("malformed_commitment", deep.into_bytes()),
            ("malformed_commitment", padded.into_bytes()),
            ("missing_model_name", b"{}".to_vec()),
            ("missing_model_name", json("", REVISION, "c")),
            ("missing_model_name", br#"{"model_name": 5, "model_revision": "a", "chute_id": "c"}"#.to_vec()),
            ("missing_model_name", br#"{"model_name": null}"#.to_vec()),
            ("missing_model_revision", json(&name, "", "c")),
            ("missing_chute_id", json(&name, REVISION, "")),
            ("model_name_must_start_with_leoma", json(&format!("leoma/my-{}", hotkey()), REVISION, "c")),
            ("model_name_must_start_with_leoma", json("leoma/", REVISION, "c")),
            ("model_name_must_end_with_hotkey", json(&format!("u/leoma-{other}"), REVISION, "c")),
            ("model_name_must_end_with_hotkey", json(&format!("{}/leoma-x", hotkey()), REVISION, "c")),
            ("malformed_model_name", json(&format!("leoma-{}", hotkey()), REVISION, "c")),
            ("malformed_model_name", json(&format!("a/b/leoma-{}", hotkey()), REVISION, "c")),
            ("malformed_model_name", json(&format!("../leoma-{}", hotkey()), REVISION, "c")),
            ("malformed_model_name", json(&format!("u?x=/leoma-{}", hotkey()), REVISION, "c")),
            ("malformed_model_name", json(&format!("ü/leoma-{}", hotkey()), REVISION, "c")),
            ("malformed_model_name", json(&long, REVISION, "c")),
            ("malformed_model_revision", json(&name, "main", "c")),
            ("malformed_model_revision", json(&name, &REVISION[1..], "c")),
            ("malformed_model_revision", json(&name, &format!("g{}", &REVISION[1..]), "c")),
            ("malformed_chute_id", json(&name, REVISION, "a/b")),
            ("malformed_chute_id", json(&name, REVISION, "..")),
            ("malformed_chute_id", json(&name, REVISION, &"c".repeat(65))),
        ];
        for (reason, data) in table {
            let shown = String::from_utf8_lossy(&data).chars().take(90).collect::<String>();
            assert_eq!(read(&data).expect_err(&shown).to_string(), reason, "{shown}");
        }
        assert_eq!(read_newest(&[], &hotkey()).expect_err("none").to_string(), "missing_commitment");
    }

    #[test]
    fn the_newest_entry_counts_and_a_third_is_one_too_many() {
        let (first, second) =
            (json(&model_name(), REVISION, "first"), json(&model_name(), REVISION, "second"));
        let at = |block, data| RevealedEntry { reveal_block: BlockNumber(block), data };
        let chute =
            |entries: &[RevealedEntry<'_>]| read_newest(entries, &hotkey()).map(|(c, b)| (c.chute_id, b.0));
        assert_eq!(chute(&[at(5, &first), at(6, &second)]), Ok(("second".into(), 6)));
        assert_eq!(chute(&[at(6, &second), at(5, &first)]), Ok(("second".into(), 6)));
        assert_eq!(chute(&[at(6, &first), at(6, &second)]), Ok(("second".into(), 6)));
        assert_eq!(chute(&[at(5, &first), at(6, b"{}")]), Err(CommitmentFault::MissingModelName));
        let three = [at(5, &first), at(6, &first), at(7, &second)];
        assert_eq!(chute(&three), Err(CommitmentFault::TooMany));
        assert_eq!(CommitmentFault::TooMany.to_string(), "max_commits_exceeded_2");
    }

    #[test]
    fn of_a_repeated_key_the_last_counts() {
        let text = format!(
            r#"{{"chute_id":"a","model_name":"{}","model_revision":"{REVISION}","chute_id":"b","extra":[{{}}]}}"#,
            model_name()
        );
        assert_eq!(read(text.as_bytes()).map(|c| c.chute_id), Ok("b".into()));
    }

    #[test]
    fn nesting_counts_brackets_outside_strings_only() {
        assert_eq!(json_nesting(br#"{"a":"[[[","b":"\"[[","c":[]}"#), 2);
        assert_eq!(json_nesting(b"]]]]["), 1);
        assert_eq!(json_nesting(b"12"), 0);
    }

    #[test]
    fn all_broken_rules_are_named_at_once() {
        let commitment = |name: &str, revision: &str, chute: &str| Commitment {
            model_name: name.into(),
            model_revision: revision.into(),
            chute_id: chute.into(),
        };
        let names = |commitment: Commitment| {
            commitment.faults(&hotkey()).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(commitment(&model_name(), REVISION, "c")), [""; 0]);
        assert_eq!(
            names(commitment("", "", "")),
            ["missing_model_name", "missing_model_revision", "missing_chute_id"]
        );
        assert_eq!(
            names(commitment("a/b/wan", "main", "a/b")),
            [
                "model_name_must_start_with_leoma",
                "model_name_must_end_with_hotkey",
                "malformed_model_name",
                "malformed_model_revision",
                "malformed_chute_id"
            ]
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(read(&data).is_err());
        }

        #[test]
        fn random_fields_are_read_only_when_they_are_safe_in_an_address(
            user in "([A-Za-z0-9._-]{1,12}|\\PC{0,12})",
            middle in "(-[a-z0-9]{0,5}|\\PC{0,6})",
            revision in "[0-9a-fA-F]{39,41}",
            chute in "([a-z0-9-]{1,8}|\\PC{0,8})",
        ) {
            let data = json(&format!("{user}/leoma{middle}{}", hotkey()), &revision, &chute);
            if let Ok(commitment) = read(&data) {
                let safe = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
                prop_assert!(commitment.model_name.chars().all(safe));
                prop_assert_eq!(commitment.model_name.matches('/').count(), 1);
                let dots = |part: &str| part.chars().all(|c| c == '.');
                prop_assert!(!commitment.model_name.split('/').any(dots), "a part that climbs or stays");
                prop_assert_eq!(commitment.model_revision.len(), 40);
                prop_assert!(!commitment.chute_id.is_empty());
                prop_assert_eq!(Commitment::parse(&serde_json::to_vec(&commitment).unwrap()), Ok(commitment));
            }
        }

        #[test]
        fn a_commitment_breaks_no_rule_exactly_when_its_json_is_read_back(
            user in "([A-Za-z0-9._-]{1,4}|\\PC{0,4})",
            start in "(leoma|LEOMA|lema|)",
            middle in "(-[a-z0-9]{0,5}|\\PC{0,3})",
            other_hotkey in prop::bool::weighted(0.2),
            revision in "([0-9a-f]{39,41}|[0-9a-f]{40})",
            chute in "([a-z0-9-]{1,8}|\\PC{0,3})",
        ) {
            let owner = if other_hotkey { Hotkey([8; 32]) } else { hotkey() };
            let written = Commitment {
                model_name: format!("{user}/{start}{middle}{owner}"),
                model_revision: revision,
                chute_id: chute,
            };
            match (written.faults(&hotkey()), read(written.to_json().as_bytes())) {
                (faults, Ok(commitment)) => {
                    prop_assert_eq!(faults, []);
                    prop_assert_eq!(commitment, written);
                }
                (faults, Err(fault)) => prop_assert!(faults.contains(&fault), "{faults:?}, read: {fault}"),
            }
        }
    }
}
