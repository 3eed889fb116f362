//! What the user sees: a table that is drawn over and over in its place on a terminal, and a line for each block elsewhere.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use rustix::termios::tcgetwinsize;

use crate::client::Block;
use crate::duration::show;
use crate::load::Tally;
use crate::metrics::name;
use crate::watch::View;

/// How wide a terminal is taken to be that does not say.
const WIDTH_DEFAULT: usize = 100;
/// How much of a hash is shown.
const HASH_SHOWN: usize = 10;

/// Where progress is shown.
pub(crate) struct Screen {
    /// On standard error, since standard output is for the verdict in JSON.
    is_error: bool,
    is_terminal: bool,
    /// Lines of the table on the terminal.
    drawn: usize,
}

/// What is shown at one moment.
pub(crate) struct Scene<'a> {
    pub(crate) views: &'a [View],
    pub(crate) tally: &'a Tally,
    pub(crate) elapsed: Duration,
    pub(crate) length: Option<Duration>,
}

impl Screen {
    /// Shows progress on standard error where `is_error`, else on standard output.
    pub(crate) fn new(is_error: bool) -> Self {
        let is_terminal = match is_error {
            true => std::io::stderr().is_terminal(),
            false => std::io::stdout().is_terminal(),
        };
        Self {
            is_error,
            is_terminal,
            drawn: 0,
        }
    }

    /// Is a table shown, rather than lines?
    pub(crate) fn is_table(&self) -> bool {
        self.is_terminal
    }

    /// Prints a text that stays; the table is drawn anew below it.
    pub(crate) fn say(&mut self, text: &str) {
        let mut out = String::new();
        self.erase(&mut out);
        out.push_str(text);
        out.push('\n');
        self.print(&out);
    }

    /// Prints the line of a block.
    pub(crate) fn block(&mut self, block: &Block, miner: &str, have: usize, nodes: usize) {
        let (height, count) = (block.height, block.txs.len());
        let (hash, state) = (clip(&block.hash), clip(&block.claims.state_root));
        self.say(&format!(
            "block {height:>5}  {hash}  state {state}  {count:>3} tx  by {miner:<8}  {have}/{nodes} nodes"
        ));
    }

    /// Draws the table.
    pub(crate) fn draw(&mut self, scene: &Scene<'_>) {
        let width = self.width();
        let mut out = String::new();
        self.erase(&mut out);
        let lines = lines(scene);
        for line in &lines {
            let line: String = line.chars().take(width).collect();
            let _ = writeln!(out, "{line}\x1b[K");
        }
        self.drawn = lines.len();
        self.print(&out);
    }

    /// Goes back to where the table began, and clears from there.
    fn erase(&mut self, out: &mut String) {
        if self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A\r\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    fn width(&self) -> usize {
        let size = match self.is_error {
            true => tcgetwinsize(std::io::stderr()),
            false => tcgetwinsize(std::io::stdout()),
        };
        let columns = size.map_or(0, |size| usize::from(size.ws_col));
        if columns == 0 { WIDTH_DEFAULT } else { columns }
    }

    /// A reader that has gone away is no reason to leave the network running or to fail.
    fn print(&self, text: &str) {
        let _ = match self.is_error {
            true => std::io::stderr().write_all(text.as_bytes()),
            false => std::io::stdout().write_all(text.as_bytes()),
        };
        let _ = std::io::stdout().flush();
    }
}

fn lines(scene: &Scene<'_>) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<8} {:>6}  {:<HASH_SHOWN$}  {:<HASH_SHOWN$} {:>5} {:>7} {:>8} {:>9} {:>9} {:>6}",
        "node",
        "height",
        "tip",
        "state",
        "peers",
        "mempool",
        "segments",
        "torrent↑",
        "torrent↓",
        "reorgs"
    )];
    lines.extend(scene.views.iter().map(row));
    let refused: u64 = scene.tally.refused.values().sum();
    let length = scene.length.map_or("until Ctrl-C".to_owned(), |length| {
        format!("of {}", show(length))
    });
    lines.push(format!(
        "{} {length} · {} transactions handed in, {refused} refused · Ctrl-C stops",
        show(scene.elapsed),
        scene.tally.taken
    ));
    lines
}

fn row(view: &View) -> String {
    let name = &view.name;
    let Some(status) = &view.status else {
        return format!("{name:<8}      -  gives no answer");
    };
    format!(
        "{name:<8} {:>6}  {}  {} {:>5} {:>7} {:>8} {:>9} {:>9} {:>6}",
        status.height,
        clip(&status.tip),
        clip(&status.state_root),
        status.peers,
        view.metrics.sum(name::MEMPOOL),
        view.metrics.sum(name::SEGMENTS),
        bytes(view.torrent_bytes("uploaded")),
        bytes(view.torrent_bytes("downloaded")),
        view.reorganisations(),
    )
}

fn clip(hash: &str) -> &str {
    hash.get(..HASH_SHOWN).unwrap_or(hash)
}

/// A number of bytes in the unit that fits.
fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Status;
    use crate::metrics::Metrics;

    #[test]
    fn a_row_for_each_node_under_its_heading() {
        let status = Status {
            height: 41,
            tip: "ab".repeat(32),
            state_root: "cd".repeat(32),
            peers: 4,
            peer_id: String::new(),
            listen: Vec::new(),
        };
        let metrics = format!(
            "{}{{direction=\"downloaded\"}} 2048\n{} 3\n",
            name::TORRENT_BYTES,
            name::MEMPOOL
        );
        let view = View {
            name: "node1".to_owned(),
            status: Some(status),
            metrics: Metrics::parse(&metrics),
        };
        let silent = View {
            name: "node2".to_owned(),
            ..View::default()
        };
        let scene = Scene {
            views: &[view, silent],
            tally: &Tally::default(),
            elapsed: Duration::from_secs(5),
            length: None,
        };
        let lines = lines(&scene);
        assert_eq!(lines.len(), 4);
        let words: Vec<_> = lines[1].split_whitespace().collect();
        assert_eq!(
            words,
            [
                "node1",
                "41",
                "ababababab",
                "cdcdcdcdcd",
                "4",
                "3",
                "0",
                "0",
                "B",
                "2.0",
                "KiB",
                "0"
            ]
        );
        assert_eq!(lines[0].chars().count(), lines[1].chars().count());
        assert!(lines[2].contains("no answer"));
    }
}
