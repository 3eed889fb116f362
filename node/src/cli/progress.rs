//! Progress of long work: a bar on a terminal, one line at the end otherwise.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// How far a command has come. On standard error, so that standard output stays the result.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts at 0 of `total` blocks.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let style = "{msg} {wide_bar} {human_pos}/{human_len}, {per_sec}, {eta} left";
        Self::start(what, ProgressBar::new(total), style)
    }

    /// Starts at 0 of `total` bytes; 0 where nobody knows.
    pub(crate) fn of_bytes(what: &'static str, total: u64) -> Self {
        let style = "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        match total {
            0 => Self::start(
                what,
                ProgressBar::new_spinner(),
                "{msg} {bytes}, {bytes_per_sec}",
            ),
            total => Self::start(what, ProgressBar::new(total), style),
        }
    }

    fn start(what: &'static str, bar: ProgressBar, style: &str) -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => bar,
            false => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::with_template(style).expect("a template of ours"));
        bar.set_message(what);
        Self(bar)
    }

    pub(crate) fn step(&mut self, by: u64) {
        self.0.inc(by);
    }

    pub(crate) fn finish(&self, result: &str) {
        self.0.finish_and_clear();
        eprintln!("{result}");
    }
}
