//! What the rules make of a document's outcomes, folded anew.

use std::{collections::BTreeMap, sync::Arc};

use super::{Payment, RoundBundle, RoundResult, of_round, payment};
use crate::domain::{
    event::{Event, VoidReason},
    ids::Hotkey,
    inquiry::Question,
    outcome::Outcome,
    payout::{Contender, history::MinerResult},
    round::{ApplyError, Tournament},
    rules::PayoutRules,
};

/// What follows from tickets, questions and rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// Outcomes as they count.
    pub outcomes: BTreeMap<Hotkey, Outcome>,
    /// Groups of the same clip.
    pub copies: Vec<Vec<Hotkey>>,
    /// What every answer shows.
    pub findings: BTreeMap<(Hotkey, Question), String>,
    /// The best passing clip's miner.
    pub winner: Option<Contender>,
    /// How every miner fared, as the payout rules remember it.
    pub results: Arc<[MinerResult]>,
    /// Why the round is void by rule.
    pub void: Option<VoidReason>,
}

impl Judged {
    /// What the round comes to.
    pub fn result(&self) -> RoundResult {
        match &self.void {
            Some(reason) => RoundResult::Void { reason: reason.clone() },
            None => RoundResult::Closed { winner: self.winner.map(|winner| winner.hotkey) },
        }
    }
}

impl RoundBundle {
    /// Folds the document's tickets and questions through the rules; what it says of groups, findings, rulings and the
    /// winner is not asked. `None` for a round that was not planned.
    ///
    /// # Errors
    /// When the document contradicts itself.
    pub fn judge(&self, rules: &PayoutRules) -> Result<Option<Judged>, ApplyError> {
        let mut state = Tournament::new(*rules);
        let events = self.events();
        let ends = |event: &&Event| matches!(event, Event::RoundClosed { .. } | Event::RoundVoided { .. });
        for event in of_round(&events).filter(|event| !ends(event)) {
            state.apply(event)?;
        }
        Ok(state.round(self.round).map(|round| Judged {
            outcomes: round.final_outcomes(),
            copies: round.copy_groups(),
            findings: round
                .questions()
                .into_iter()
                .map(|asked| ((asked.hotkey, asked.question), asked.finding))
                .collect(),
            winner: round.winner(rules),
            results: round.results(),
            void: round.void_reason(rules),
        }))
    }

    /// The weights that a result of this round alone would give.
    pub fn payment_of(&self, result: &RoundResult) -> Option<Payment> {
        payment(result, self.plan.as_ref().map_or(&[][..], |plan| &plan.roster))
    }
}
