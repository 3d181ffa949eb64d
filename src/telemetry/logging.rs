//! Console lines and JSON logs.

use std::io::{IsTerminal, stderr};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{Compact, Format, Writer},
    },
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

/// Shape of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// One line per event: time, level, target, message, fields of the event and of its spans.
    #[default]
    Plain,
    /// One JSON object per line.
    Json,
}

/// Whether plain lines are coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Never.
    Never,
}

impl Color {
    fn on_stderr(self) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        self == Color::Auto && stderr().is_terminal() && !set("NO_COLOR") && !dumb
    }
}

/// How the process logs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// Shape of a line.
    pub format: LogFormat,
    /// Which events: directives of `tracing_subscriber::EnvFilter`, e.g. `info,leoma::decode=debug`.
    pub filter: String,
    /// Colours.
    pub color: Color,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("log filter `{filter}`: {problem}; expected e.g. `info` or `info,leoma::decode=debug`")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Logs were set up before.
    #[error("logs were already set up in this process")]
    AlreadySet,
}

/// Parses log filter directives.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(filter)
        .map_err(|error| TelemetryError::Filter { filter: filter.to_owned(), problem: error.to_string() })
}

/// Sends this process's events to stderr; standard output stays free for reports.
pub fn init(options: &LogOptions) -> Result<(), TelemetryError> {
    let subscriber = subscriber(options, options.color.on_stderr(), stderr)?;
    subscriber.try_init().map_err(|_| TelemetryError::AlreadySet)
}

type AnySubscriber = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(options: &LogOptions, color: bool, writer: W) -> Result<AnySubscriber, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parse_filter(&options.filter)?)
        .with_ansi(color)
        .with_writer(writer);
    Ok(match options.format {
        LogFormat::Plain => Box::new(builder.event_format(OneLine::new(color)).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_span_list(true).finish()),
    })
}

/// The compact format with line breaks escaped: text from a miner or a service cannot forge a line.
struct OneLine {
    inner: Format<Compact>,
    color: bool,
}

impl OneLine {
    fn new(color: bool) -> Self {
        Self { inner: Format::default().compact(), color }
    }
}

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        let inner = self.inner.clone().with_ansi(self.color);
        inner.format_event(ctx, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        if !line.contains(['\n', '\r']) {
            return writeln!(writer, "{line}");
        }
        writeln!(writer, "{}", line.replace('\n', "\\n").replace('\r', "\\r"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Captured {
        type Writer = Captured;
        fn make_writer(&'a self) -> Captured {
            self.clone()
        }
    }

    fn plain(events: impl FnOnce()) -> String {
        logged(LogFormat::Plain, false, events)
    }

    fn logged(format: LogFormat, color: bool, events: impl FnOnce()) -> String {
        let captured = Captured::default();
        let options = LogOptions { format, filter: "info".into(), color: Color::Never };
        let subscriber = subscriber(&options, color, captured.clone()).expect("a valid filter");
        tracing::subscriber::with_default(subscriber, events);
        let bytes = captured.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_line_has_level_target_message_and_the_fields_of_event_and_spans() {
        let text = plain(|| {
            let _span = tracing::info_span!("round", round = 7).entered();
            tracing::warn!(target: "leoma::test", miner = "5Grw", "clip refused");
            tracing::debug!("not shown");
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(" WARN ") && text.contains("leoma::test: clip refused"), "{text}");
        assert!(text.contains("miner=\"5Grw\"") && text.contains("round=7"), "{text}");
    }

    #[test]
    fn a_line_break_in_foreign_text_does_not_make_a_second_line() {
        let foreign = "no\n2026-01-01 INFO leoma: all well\r";
        let text = plain(|| tracing::info!("miner said {foreign} {}", 1));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\r') && text.contains("no\\n2026"), "{text}");
    }

    #[test]
    fn colours_are_there_when_asked_for_and_foreign_escapes_are_not() {
        let foreign = "\u{1b}[31mred";
        assert!(!plain(|| tracing::info!("{foreign}")).contains('\u{1b}'));
        let text = logged(LogFormat::Plain, true, || tracing::info!("{foreign}"));
        assert!(text.contains('\u{1b}') && !text.contains("\u{1b}[31mred"), "{text:?}");
    }

    #[test]
    fn json_has_one_object_a_line_with_the_fields_of_event_and_spans() {
        let text = logged(LogFormat::Json, false, || {
            let _round = tracing::info_span!("round", round = 7).entered();
            let _ticket = tracing::info_span!("ticket", miner = "5Grw").entered();
            tracing::warn!(clip = 3, "refused\nsecond line");
            tracing::info!("next");
        });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["level"], &lines[0]["clip"]), (&"WARN".into(), &3.into()));
        assert_eq!(lines[0]["spans"][0]["round"], 7);
        assert_eq!(lines[0]["spans"][1]["miner"], "5Grw");
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = parse_filter("leoma=loud").expect_err("refused");
        assert!(error.to_string().contains("leoma=loud"), "{error}");
    }
}
