//! What the doctor found, and how it is shown.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Pass,
    /// It works, but something deserves attention.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Grade::Pass => "pass",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What was looked at.
    pub what: &'static str,
    /// What was seen.
    pub seen: String,
    /// What to do about it; empty when nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// Everything that was looked at, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Findings {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// As it should be.
    pub fn pass(&mut self, what: &'static str, seen: impl Into<String>) {
        self.add(Grade::Pass, what, seen.into(), String::new());
    }

    /// Something deserves attention.
    pub fn warn(&mut self, what: &'static str, seen: impl Into<String>, advice: impl Into<String>) {
        self.add(Grade::Warn, what, seen.into(), advice.into());
    }

    /// Something does not work.
    pub fn fail(&mut self, what: &'static str, seen: impl Into<String>, advice: impl Into<String>) {
        self.add(Grade::Fail, what, seen.into(), advice.into());
    }

    fn add(&mut self, grade: Grade, what: &'static str, seen: String, advice: String) {
        self.findings.push(Finding { grade, what, seen, advice });
    }

    /// The worst grade.
    pub fn worst(&self) -> Grade {
        self.findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Pass)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{:<5} {:<16} {}", finding.grade, finding.what, finding.seen)?;
            if !finding.advice.is_empty() {
                writeln!(f, "{:<5} {:<16} -> {}", "", "", finding.advice)?;
            }
        }
        let count = |grade| self.findings.iter().filter(|finding| finding.grade == grade).count();
        write!(f, "{} pass, {} warn, {} fail", count(Grade::Pass), count(Grade::Warn), count(Grade::Fail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_counted_and_the_worst_one_rules() {
        let mut findings = Findings::default();
        assert_eq!(findings.worst(), Grade::Pass);
        findings.pass("endpoint", "ws://a: block 7");
        findings.warn("drand", "12 rounds behind", "wait");
        assert_eq!(findings.worst(), Grade::Warn);
        findings.fail("permit", "none", "add stake");
        assert_eq!(findings.worst(), Grade::Fail);
        let text = findings.to_string();
        assert!(text.contains("FAIL  permit           none\n"), "{text}");
        assert!(text.contains("-> add stake\n"), "{text}");
        assert!(text.ends_with("1 pass, 1 warn, 1 fail"), "{text}");
    }
}
