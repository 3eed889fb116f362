//! Progress of long work: a bar on a terminal, one line at the end otherwise.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// How far a command has come. On standard error, so that standard output stays the result.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts at 0 of `total`; 0 where nobody knows.
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let bar = match (std::io::stderr().is_terminal(), total) {
            (false, _) => ProgressBar::hidden(),
            (true, 0) => ProgressBar::new_spinner(),
            (true, total) => ProgressBar::new(total),
        };
        let style = match total {
            0 => "{msg} {human_pos} lines, {per_sec}",
            _ => "{msg} {wide_bar} {human_pos}/{human_len}, {per_sec}, {eta} left",
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
