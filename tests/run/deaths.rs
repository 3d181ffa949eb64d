//! Every actor of the real house dies once while it handles a message, and the round goes on.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use leoma::domain::outcome::Fault;
use tracing::{Event, Subscriber, field::Visit, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::{
    house::{on_actix, parts, runs_until_paid},
    world::*,
};

/// Panics inside the actor that opens one of these spans or says one of these texts, once for each.
struct Reaper {
    doomed: Mutex<BTreeSet<&'static str>>,
}

impl Reaper {
    fn strike(&self, mark: &str) {
        // The lock is released before the panic.
        let struck = self.doomed.lock().expect("never poisoned").remove(mark);
        assert!(!struck, "struck down at `{mark}`");
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl<S: Subscriber> Layer<S> for Reaper {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _id: &span::Id, _context: Context<'_, S>) {
        self.strike(attributes.metadata().name());
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        if let Some((head, _)) = message.0.split_once(": ") {
            self.strike(head);
        }
    }
}

#[test]
fn every_actor_dies_once_and_the_round_is_closed_and_paid() {
    on_actix(async {
        // Time for the deaths, for a dispute about copies, and for payment before the next round ends.
        let mut rules = small_rules();
        rules.schedule.round_interval_blocks = 160;
        rules.schedule.answer_within_blocks = 60;
        rules.schedule.settle_within_blocks = 120;
        let world = World::start_by(&rules, 250).await;
        let parts = parts(&world).await;
        // Marks of handlers that run on the actors' own thread: sync_roster of MinerRegistry, `open: ` of
        // RoundClock (after the plan is journalled, before anybody is asked), and one of each stage.
        let marks = ["sync_roster", "open", "ask_miners", "decode", "score", "set_weights"];
        let reaper = Reaper { doomed: Mutex::new(marks.into_iter().collect()) };
        // tracing remembers one answer per callsite. While there is one subscriber in the process it asks the current thread's,
        // so another story's thread, which has none, would switch off what it meets first; a second one makes it ask both.
        let _second = tracing::Dispatch::new(tracing_subscriber::registry());
        // For this thread only: that is where actors handle messages.
        let _here = tracing::subscriber::set_default(tracing_subscriber::registry().with(reaper));
        let (book, board) = (Arc::clone(&parts.book), Arc::clone(&parts.board));
        let (end, paid) = runs_until_paid(parts).await;
        assert!(paid, "nobody was paid: {board:#?}");
        assert_eq!(end, Ok(()), "no actor died too often");

        for actor in board.snapshot() {
            assert_eq!(actor.restarts, 1, "{actor:#?}");
        }
        let (round, _) = book.paid().expect("paid");
        let report = book.get(round).expect("the paid round");
        assert_eq!(report.phase, "closed");
        // The next one may be open already: disputes take what is left of a round's time.
        assert_eq!(book.newest(9).last().map(|oldest| oldest.round), Some(round), "no death cost a round");
        let miners: BTreeSet<_> = world.roster.iter().map(|line| line.hotkey).collect();
        assert_eq!(report.miners.iter().map(|row| row.hotkey).collect::<BTreeSet<_>>(), miners);
        assert!(report.winner.is_some(), "{report:#?}");
        // A ticket that went down with an actor is sent out again; one that went down twice in the same stage
        // may be what kills them, and ends as our fault.
        for row in report.miners.iter().filter(|row| row.reason == "dropped") {
            assert_eq!((row.outcome.as_str(), row.fault), ("forfeit", Some(Fault::Us)), "{row:?}");
        }
    });
}
