//! What of a round rests on the rounds before it: which clips could be chosen, and which miners' clips were sent before (G8).

use std::collections::{BTreeMap, BTreeSet};

use super::{Difference, Level, compare::Compared};
use crate::domain::{
    bundle::RoundBundle,
    event::Event,
    ids::{Digest, Hotkey, RoundId},
    round::Tournament,
    rules::PayoutRules,
};

/// The rounds of one validator, oldest first, as their documents tell them.
pub struct Sequence {
    state: Tournament,
    /// First round that was asked for.
    first: RoundId,
    missing: BTreeSet<RoundId>,
    newest: Option<(RoundId, BTreeSet<String>)>,
}

impl Sequence {
    /// A sequence that begins with this round.
    pub fn new(rules: &PayoutRules, first: RoundId) -> Self {
        // Under no round's rules: winners stand as recorded, they are elected anew elsewhere.
        let state = Tournament::under(*rules, Digest([0; 32]));
        Self { state, first, missing: BTreeSet::new(), newest: None }
    }

    /// A round that was not published.
    pub fn miss(&mut self, round: RoundId) {
        self.missing.insert(round);
    }

    /// Takes the next round and says what does not follow from those before it, and what they cannot tell.
    pub fn follow(&mut self, bundle: &RoundBundle) -> (Vec<Difference>, Vec<String>) {
        let mut work = Compared::default();
        self.published(bundle, &mut work);
        self.returned(bundle, &mut work);
        let keys = bundle.plan.iter().map(|plan| plan.clip.key.clone());
        let known = bundle.published_before.iter().cloned().chain(keys).collect();
        self.newest = Some((bundle.round, known));
        (work.differences, work.notes)
    }

    /// Keys that could not be chosen: those of the round before and of that round's clip, and more only for rounds between.
    fn published(&self, bundle: &RoundBundle, work: &mut Compared) {
        let Some((newest, known)) = &self.newest else { return };
        for key in known.difference(&bundle.published_before) {
            let words = ["could be chosen again".to_owned(), "was published before".to_owned()];
            work.differ(Level::Source, None, format!("clip {key}"), words);
        }
        if self.missing.range(*newest..bundle.round).next().is_none() {
            for key in bundle.published_before.difference(known) {
                let words = ["was published before".to_owned(), format!("not by round {newest} or before")];
                work.differ(Level::Source, None, format!("clip {key}"), words);
            }
        }
    }

    /// Clips of other miners in the rounds that G8 looks back on.
    fn returned(&mut self, bundle: &RoundBundle, work: &mut Compared) {
        let back = bundle.plan.as_ref().and_then(|plan| plan.copies).map_or(0, |gate| u64::from(gate.rounds));
        let oldest = RoundId(bundle.round.0.saturating_sub(back));
        let whole = oldest >= self.first && self.missing.range(oldest..bundle.round).next().is_none();
        let mut found: BTreeMap<Hotkey, (RoundId, Hotkey)> = BTreeMap::new();
        for event in bundle.events() {
            if matches!(
                event,
                Event::RoundClosed { .. } | Event::RoundVoided { .. } | Event::ClipReturned { .. }
            ) {
                let round = self.state.round(bundle.round);
                let miners = || bundle.miners.iter().map(|miner| miner.hotkey);
                let ones = round.iter().flat_map(|round| {
                    miners().filter_map(|hotkey| Some((hotkey, round.find_returned(&hotkey)?)))
                });
                found.extend(ones);
            }
            if let Err(cause) = self.state.apply(&event) {
                work.differ(Level::Verdict, None, event.kind(), ["recorded".into(), cause.to_string()]);
                return;
            }
        }
        let recorded: BTreeMap<_, _> =
            bundle.returned.iter().map(|clip| (clip.hotkey, (clip.earlier, clip.owner))).collect();
        if !whole && back > 0 {
            work.note(format!(
                "G8 looks back to round {oldest}, which the window does not: earlier clips stand on record"
            ));
            return;
        }
        let word = |of: Option<&(RoundId, Hotkey)>| {
            of.map_or("its own clip".to_owned(), |(round, owner)| format!("clip of {owner} in round {round}"))
        };
        let miners: BTreeSet<_> = recorded.keys().chain(found.keys()).collect();
        for hotkey in miners {
            let words = (word(recorded.get(hotkey)), word(found.get(hotkey)));
            work.compare(Level::Verdict, Some(*hotkey), "earlier rounds", words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        bundle::{BundleFacts, Code, Network, ReturnedClip},
        event::Timings,
        ids::{BlockHash, BlockNumber, NetUid},
        outcome::Outcome,
        rules::{ActiveRules, Rules},
        testing::{filmed, hotkey, plan},
    };

    /// A closed round in which two miners send films of these paces.
    fn round(number: u64, paces: [i64; 2], published: &[&str]) -> RoundBundle {
        let rules = Rules::embedded();
        let (round, timings) = (RoundId(number), Timings::default());
        let mut events = vec![Event::RoundPlanned { plan: Box::new(plan(number, 2)) }];
        for (miner, pace) in (1..).zip(paces) {
            let file = crate::domain::event::ReceivedFile {
                sha256: Digest([miner + 10 * number as u8; 32]),
                bytes: 1,
                latency_ms: 1,
                invocation_id: None,
            };
            let outcome: Outcome = filmed(8_000, miner + 10 * number as u8, pace);
            events.push(Event::ClipReceived { round, hotkey: hotkey(miner), file });
            events.push(Event::TicketSettled { round, hotkey: hotkey(miner), outcome, timings });
        }
        let mut state = Tournament::new(rules.payout);
        events.iter().for_each(|event| state.apply(event).expect("follows"));
        let winner = state.round(round).and_then(|round| round.winner(&rules.payout)).map(|one| one.hotkey);
        events.push(Event::RoundClosed { round, at: BlockNumber(number * 100 + 70), winner });
        let facts = BundleFacts {
            network: Network { genesis: BlockHash([0; 32]), netuid: NetUid(99) },
            validator: hotkey(9),
            round,
            opened_unix_ms: 0,
            code: Code { version: String::new(), kernels: BTreeMap::new() },
            published_before: published.iter().map(|key| (*key).to_owned()).collect(),
            source: None,
        };
        RoundBundle::of(facts, &events, &ActiveRules { rules, digest: Digest([4; 32]) }).expect("ended")
    }

    fn told(found: (Vec<Difference>, Vec<String>)) -> Vec<String> {
        let shown = |one: Difference| format!("{}: {}, {}", one.what, one.recorded, one.found);
        found.0.into_iter().map(shown).chain(found.1).collect()
    }

    #[test]
    fn a_clip_of_the_round_before_that_is_not_told_of_is_found() {
        let rules = Rules::embedded().payout;
        // The plan of the tests looks two rounds back.
        let mut rounds = Sequence::new(&rules, RoundId(5));
        assert_eq!(told(rounds.follow(&round(7, [16, 31], &[]))), [""; 0]);
        // Miner 2 sends what miner 1 sent before; the record does not say so.
        let mut second = round(8, [52, 16], &["clip-7.mp4"]);
        let found = told(rounds.follow(&second));
        assert!(found.len() == 1 && found[0].contains("its own clip, clip of"), "{found:?}");
        let mut rounds = Sequence::new(&rules, RoundId(5));
        rounds.follow(&round(7, [16, 31], &[]));
        second.returned = vec![ReturnedClip { hotkey: hotkey(2), earlier: RoundId(7), owner: hotkey(1) }];
        assert_eq!(told(rounds.follow(&second)), [""; 0]);
        // Where the window does not reach back far enough, it says so.
        let found = told(Sequence::new(&rules, RoundId(8)).follow(&second));
        assert!(found.len() == 1 && found[0].contains("stand on record"), "{found:?}");
    }

    #[test]
    fn keys_that_are_forgotten_or_made_up_are_found() {
        let rules = Rules::embedded().payout;
        let after = |published: &[&str], missing: bool| {
            let mut rounds = Sequence::new(&rules, RoundId(5));
            rounds.follow(&round(7, [16, 31], &["clip-1.mp4"]));
            if missing {
                rounds.miss(RoundId(8));
            }
            told(rounds.follow(&round(9, [52, 77], published)))
        };
        assert_eq!(after(&["clip-1.mp4", "clip-7.mp4"], false), [""; 0]);
        assert!(after(&["clip-7.mp4"], false)[0].starts_with("clip clip-1.mp4: could be chosen again"));
        let more = ["clip-1.mp4", "clip-7.mp4", "clip-8.mp4"];
        assert!(after(&more, false)[0].starts_with("clip clip-8.mp4: was published before"));
        let with_a_gap = after(&more, true);
        assert!(with_a_gap.iter().all(|told| told.contains("stand on record")), "{with_a_gap:?}");
    }
}
