//! Going on after a restart: open rounds get their clip and their open tickets back.

use std::sync::Arc;

use actix::Context;
use tracing::info;

use crate::{
    corpus::{CorpusError, PreparedClip},
    domain::ids::RoundId,
    runtime::post::Hold,
};

use super::RoundClock;

/// To RoundClock itself: the clip of a round that was open when the process ended.
pub struct Resumed {
    round: RoundId,
    clip: Result<Arc<PreparedClip>, CorpusError>,
}

impl RoundClock {
    /// Called once when the actor starts, with the state that the journal gave.
    pub(super) fn resume(&mut self) {
        for id in self.state.open_rounds() {
            let Some(plan) = self.state.round(id).and_then(|round| round.plan.clone()) else { continue };
            let open = self.state.round(id).map_or(0, |round| round.open_tickets().count());
            info!(round = %id, open, "going on with a round that was open");
            let corpus = Arc::clone(&self.parts.corpus);
            self.spawn_then(async move {
                let clip = corpus.prepare(&plan.clip, plan.spec).await.map(Arc::new);
                Resumed { round: id, clip }
            });
        }
        if self.state.payments().open().is_some() {
            info!("weights were intended before the restart: the chain is looked at first");
        }
    }

    pub(super) fn on_resumed(&mut self, resumed: Resumed, hold: Hold, ctx: &mut Context<Self>) {
        let round = resumed.round;
        if !self.state.open_rounds().contains(&round) {
            return hold.done(); // its time ended while the clip was prepared
        }
        match resumed.clip {
            Ok(prepared) => {
                if let Some(plan) = self.state.round(round).and_then(|round| round.plan.clone()) {
                    self.go_live(plan, prepared);
                    // A crash can lie between the plan and the rows of miners that cannot be asked, and between
                    // a score and the earlier round that its clip comes from.
                    self.settle_those_out(round, ctx);
                    let miners = self
                        .state
                        .round(round)
                        .map(|round| round.tickets.keys().copied().collect::<Vec<_>>());
                    for hotkey in miners.unwrap_or_default() {
                        self.note_if_returned(round, hotkey, ctx);
                    }
                    self.dispatch(round, ctx);
                    self.close_if_settled(round, ctx);
                }
                hold.done();
            }
            Err(cause) => {
                self.void(round, format!("the clip could not be prepared again: {cause}"), ctx);
                hold.failed(&cause);
            }
        }
    }
}
