//! Where log lines go: to standard error, around a progress bar if there is one.

use std::io::{self, Write};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// Libraries that say at `info` what nobody asked for.
const QUIET: &str = "libp2p=warn,libp2p_kad=error,librqbit=warn,mainline=warn,hickory_proto=error,netlink_proto=error";

/// Starts logging; on a terminal gives a progress bar that log lines don't tear, hidden until it is used.
///
/// # Errors
/// `level` is neither a level nor a filter.
pub(crate) fn start(
    level: &str,
    format: LogFormat,
    is_terminal: bool,
) -> anyhow::Result<Option<ProgressBar>> {
    // What the user says about a library goes before what we do.
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"));
    let filter = filter.with_context(|| format!("{level:?} is no log level or filter"))?;
    let bar = (is_terminal && format == LogFormat::Text)
        .then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
    let writer = Lines { bar: bar.clone() };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(bar.is_some());
    // Whoever has set another subscriber keeps it: a test, say.
    let _ = match format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    Ok(bar)
}

/// Standard error, one whole line at a time.
#[derive(Clone)]
struct Lines {
    bar: Option<ProgressBar>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().lock().write_all(line);
        match &self.bar {
            Some(bar) => bar.suspend(write)?,
            None => write()?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
