//! `docs/round.schema.json` beside real documents, by the part of JSON Schema that it uses.

use serde_json::{Value, json};

/// Checks a value; `Err` says where it breaks which keyword. A keyword that is not known here fails too.
fn check(schema: &Value, root: &Value, value: &Value, at: &str) -> Result<(), String> {
    let fail = |keyword: &str| {
        Err(format!("{at}: {keyword}: {}", value.to_string().chars().take(80).collect::<String>()))
    };
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "required" => {}
            "$ref" => {
                let name =
                    rule.as_str().and_then(|name| name.strip_prefix("#/$defs/")).expect("a local reference");
                check(&root["$defs"][name], root, value, at)?;
            }
            "type" => {
                let names = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                if !names.iter().any(|name| is_of(value, name.as_str().expect("a type"))) {
                    return fail("type");
                }
            }
            "const" if value != rule => return fail("const"),
            "enum" if !rule.as_array().expect("a list").contains(value) => return fail("enum"),
            "const" | "enum" => {}
            "minimum" if value.as_i64().is_some_and(|number| number < rule.as_i64().expect("a number")) => {
                return fail("minimum");
            }
            "maximum" if value.as_i64().is_some_and(|number| number > rule.as_i64().expect("a number")) => {
                return fail("maximum");
            }
            "minimum" | "maximum" => {}
            "pattern"
                if value.as_str().is_some_and(|text| !matches(rule.as_str().expect("a pattern"), text)) =>
            {
                return fail("pattern");
            }
            "pattern" => {}
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, root, item, &format!("{at}[{index}]"))?;
                }
            }
            "properties" | "additionalProperties" => {}
            "oneOf" => {
                let found: Vec<_> =
                    rule.as_array().expect("a list").iter().map(|one| check(one, root, value, at)).collect();
                if found.iter().filter(|found| found.is_ok()).count() != 1 {
                    return Err(format!("{at}: oneOf: {found:?}"));
                }
            }
            other => panic!("the schema uses `{other}`, which this test does not know"),
        }
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(name.as_str().expect("a name")) {
                return fail(&format!("required {name}"));
            }
        }
        for (name, member) in members {
            let at = format!("{at}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => return fail(&format!("unknown {name}")),
                (Value::Null, Value::Null | Value::Bool(true)) => {}
                (Value::Null, rule) | (rule, _) => check(rule, root, member, &at)?,
            }
        }
    }
    Ok(())
}

fn is_of(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}

/// `^PREFIX[CLASS]{LENGTH}$` and `^[CLASS]{LEAST,MOST}$`, the patterns of the schema.
fn matches(pattern: &str, text: &str) -> bool {
    let inner =
        pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix("}$")).expect("an anchored pattern");
    let (prefix, rest) = inner.split_once('[').expect("a class");
    let (class, length) = rest.split_once("]{").expect("a length");
    let (least, most) = length.split_once(',').unwrap_or((length, length));
    let range: (usize, usize) = (least.parse().expect("a number"), most.parse().expect("a number"));
    let class: Vec<char> = class.chars().collect();
    let is_in = |c: char| {
        let ranges =
            class.windows(3).filter(|three| three[1] == '-').any(|three| (three[0]..=three[2]).contains(&c));
        ranges || class.contains(&c)
    };
    text.strip_prefix(prefix)
        .is_some_and(|rest| (range.0..=range.1).contains(&rest.len()) && rest.chars().all(is_in))
}

fn schema() -> Value {
    serde_json::from_str(leoma::cli::bundle::ROUND_SCHEMA).expect("the schema is JSON")
}

/// A real document follows the schema, and the schema notices what does not.
pub fn holds(document: &Value) {
    let schema = schema();
    check(&schema, &schema, document, "round.json").expect("a real document");
    let changes: [(&str, Value); 8] = [
        ("/signature", json!("")),
        ("/data/schema", json!(2)),
        ("/data/round", json!(-1)),
        ("/data/round", json!(1.5)),
        ("/data/plan/anchor/hash", json!("0x12")),
        ("/data/miners/0/fault", json!("nobody")),
        ("/data/miners/0/ticket", json!({ "kind": "scored" })),
        ("/data/result", json!({ "kind": "closed", "winner": null, "more": 1 })),
    ];
    for (place, value) in changes {
        let mut other = document.clone();
        *other.pointer_mut(place).expect(place) = value;
        assert!(check(&schema, &schema, &other, "round.json").is_err(), "{place}");
    }
    let data = document["data"].as_object().expect("data");
    for name in data.keys() {
        let mut other = document.clone();
        other["data"].as_object_mut().expect("data").remove(name);
        assert!(check(&schema, &schema, &other, "round.json").is_err(), "{name} is required");
    }
}

#[test]
fn patterns_of_the_schema_mean_what_they_mean() {
    assert!(matches("^0x[0-9a-f]{4}$", "0x12af") && !matches("^0x[0-9a-f]{4}$", "0x12aF"));
    assert!(!matches("^[0-9a-f]{4}$", "12a") && matches("^[A-Za-z0-9_-]{2}$", "-Z"));
}

/// Documents that a validator without rounds would not meet: a void round without a plan.
#[test]
fn a_round_that_was_never_planned_follows_the_schema_too() {
    use leoma::{
        bundle::{
            SignedBundle, parse,
            sealed::{ROUND_DOMAIN, canonical, message},
        },
        chain::wallet::HotkeySigner,
        domain::{
            bundle::{BundleFacts, Code, Network, RoundBundle},
            event::{Event, VoidReason},
            ids::{BlockHash, BlockNumber, NetUid, RoundId},
            rules::ActiveRules,
        },
    };
    let signer = HotkeySigner::from_seed([3; 32]);
    let (round, at) = (RoundId(9), BlockNumber(950));
    let reason = VoidReason::NotPlanned { detail: "no clip \u{e9}\u{1f600} \"is\" left\n".into() };
    let facts = BundleFacts {
        network: Network { genesis: BlockHash([1; 32]), netuid: NetUid(99) },
        validator: signer.hotkey(),
        round,
        opened_unix_ms: 1,
        code: Code { version: "0".into(), kernels: Default::default() },
        published_before: Default::default(),
        source: None,
    };
    let rules = ActiveRules::embedded().expect("embedded rules");
    let bundle = RoundBundle::of(facts, &[Event::RoundVoided { round, at, reason }], &rules).expect("ended");
    let (_, digest) = canonical(&bundle).expect("integers");
    let signature = signer.sign(&message(ROUND_DOMAIN, &digest));
    let signed = SignedBundle { bundle, digest, signature };
    let text = signed.to_json().expect("integers");
    assert_eq!(parse(text.as_bytes()).expect("signed"), signed);
    let (schema, document) = (schema(), serde_json::from_str(&text).expect("JSON"));
    check(&schema, &schema, &document, "round.json").expect("a void round");
}
