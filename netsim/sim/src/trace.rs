//! The trace: everything that happens to a node, in order, and its hash.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// The events so far.
pub(crate) struct Trace {
    hash: Sha256,
    line: String,
    events: u64,
    file: Option<BufWriter<File>>,
    trouble: Option<io::Error>,
}

impl Trace {
    /// An empty trace, which is written into a file too if one is named.
    ///
    /// # Errors
    /// Where the file can't be made.
    pub(crate) fn new(file: Option<&Path>) -> io::Result<Self> {
        Ok(Self {
            hash: Sha256::new(),
            line: String::new(),
            events: 0,
            file: file.map(File::create).transpose()?.map(BufWriter::new),
            trouble: None,
        })
    }

    /// Takes an event down: when, in milliseconds from the start; whose; what.
    pub(crate) fn event(&mut self, millis: u64, node: &str, what: fmt::Arguments<'_>) {
        self.line.clear();
        // A string takes what is written to it.
        let _ = writeln!(self.line, "{millis} {node} {what}");
        self.hash.update(&self.line);
        self.events += 1;
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(self.line.as_bytes())
        {
            self.trouble.get_or_insert(error);
        }
    }

    /// How many events there are.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    /// The hash of all of them, in hex.
    ///
    /// # Errors
    /// Where the file could not be written.
    pub(crate) fn finish(&mut self) -> io::Result<String> {
        if let Some(error) = self.trouble.take() {
            return Err(error);
        }
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        let digest = self.hash.clone().finalize();
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_all_events_in_order() {
        let hash = |events: &[(u64, &str)]| {
            let mut trace = Trace::new(None).unwrap();
            for (millis, what) in events {
                trace.event(*millis, "node1", format_args!("{what}"));
            }
            assert_eq!(trace.events(), events.len() as u64);
            trace.finish().unwrap()
        };
        let (one, two) = (hash(&[(1, "a"), (2, "b")]), hash(&[(1, "a"), (2, "b")]));
        assert_eq!(one, two);
        assert_ne!(one, hash(&[(2, "b"), (1, "a")]));
        assert_ne!(one, hash(&[(1, "a"), (3, "b")]));
        assert_ne!(one, hash(&[(1, "a")]));
    }
}
