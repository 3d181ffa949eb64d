//! Rules in force: parsed, checked and named by a digest that covers the kernels too.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{
    ids::Digest,
    rules::{ActiveRules, EMBEDDED_RULES, Rules, RulesError},
};

use super::{canonical::canonical_json, selftest};

#[derive(Serialize)]
struct Named<'a, K: Ord> {
    rules: &'a Rules,
    kernels: &'a BTreeMap<K, Digest>,
}

impl ActiveRules {
    /// Reads, checks and digests a rules file. The digest is SHA-256 over the canonical JSON of the
    /// rules and of the kernels' self-test digests: comments and layout do not matter, every value does.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        Self::of(Rules::parse(text)?)
    }

    /// The embedded rules, digested.
    pub fn embedded() -> Result<Self, RulesError> {
        Self::parse(EMBEDDED_RULES)
    }

    /// Checks and digests rules that were made in code.
    pub fn of(rules: Rules) -> Result<Self, RulesError> {
        rules.check()?;
        let digest = Self::digest_with(&rules, &selftest::digests())?;
        Ok(Self { rules, digest })
    }

    /// Digest of rules together with the self-test digests of any build's kernels.
    ///
    /// # Errors
    /// Never for rules that were read from a file: they hold integers only.
    pub fn digest_with<K: Ord + Serialize>(
        rules: &Rules,
        kernels: &BTreeMap<K, Digest>,
    ) -> Result<Digest, RulesError> {
        let text = canonical_json(&Named { rules, kernels })
            .map_err(|e| RulesError::Invalid { field: "(file)", problem: e.to_string() })?;
        Ok(Digest::of(text.as_bytes()))
    }
}
