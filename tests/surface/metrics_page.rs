//! `docs/metrics.md` against the code.

use std::collections::BTreeMap;

use leoma::telemetry::names::{ALL, MetricSpec};

const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"));

/// Name of every metric on the page, with the lines below its heading.
fn sections() -> BTreeMap<String, Vec<String>> {
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = None;
    for line in PAGE.lines() {
        if line.starts_with('#') {
            current = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')).map(str::to_owned);
            if let Some(name) = &current {
                assert!(sections.insert(name.clone(), Vec::new()).is_none(), "{name} stands twice");
            }
        } else if let Some(name) = &current {
            sections.get_mut(name).expect("inserted").push(line.to_owned());
        }
    }
    sections
}

fn first_line(spec: &MetricSpec) -> String {
    let labels: Vec<String> = spec.labels.iter().map(|label| format!("`{label}`")).collect();
    let by = if labels.is_empty() { String::new() } else { format!(", by {}", labels.join(", ")) };
    format!("{}, {}{by}. {}.", spec.kind.as_str(), spec.unit, spec.help)
}

#[test]
fn the_page_and_the_code_list_the_same_metrics() {
    let on_page: Vec<String> = sections().into_keys().collect();
    let mut in_code: Vec<String> = ALL.iter().map(|spec| spec.name.to_owned()).collect();
    in_code.sort();
    assert_eq!(on_page, in_code);
}

#[test]
fn every_metric_says_what_it_is_what_healthy_looks_like_and_what_to_do() {
    let sections = sections();
    for spec in ALL {
        let lines = &sections[spec.name];
        assert_eq!(lines[0], first_line(spec), "first line of {}", spec.name);
        for start in ["- Healthy: ", "- Otherwise: "] {
            let found = lines.iter().find_map(|line| line.strip_prefix(start));
            assert!(found.is_some_and(|text| text.len() > 3), "{} lacks `{start}`", spec.name);
        }
    }
}
