//! Block lines from a file or a pipe, a bounded number at a time.

use std::io::{self, BufRead, Read as _};

use super::run::RUNS_WAITING;

/// Lines that are checked together.
pub const RUN_LINES: usize = 256;
/// Bytes of lines after which a run ends, however few they are.
pub const RUN_BYTES: usize = 2 << 20;
/// Memory of an import for lines that are not connected yet, about: so many runs wait, one is executed, one read, and each is there some four times over.
pub const RUNS_BYTES_MAX: usize = (RUNS_WAITING + 2) * 4 * RUN_BYTES;

/// Why a text is not made of block lines.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// It can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line is longer than any block's.
    #[error("line {line}: longer than {max} bytes")]
    TooLong {
        /// Which, from 1.
        line: usize,
        /// The chain's `max_block_bytes`.
        max: usize,
    },
    /// A line is not text.
    #[error("line {line}: not UTF-8")]
    NotUtf8 {
        /// Which, from 1.
        line: usize,
    },
}

/// Reads runs of lines, each as much as is checked together.
pub struct LineRuns<R> {
    input: R,
    line_bytes_max: usize,
    read: usize,
}

impl<R: BufRead> LineRuns<R> {
    /// Reads lines of at most `line_bytes_max` bytes.
    pub fn new(input: R, line_bytes_max: usize) -> Self {
        Self {
            input,
            line_bytes_max,
            read: 0,
        }
    }

    /// The next line, without its line feed; `None` at the end.
    ///
    /// # Errors
    /// [`LinesError`].
    pub fn next_line(&mut self) -> Result<Option<String>, LinesError> {
        let (mut bytes, max) = (Vec::new(), self.line_bytes_max);
        let line = self.read + 1;
        let mut input = self.input.by_ref().take(max as u64 + 1);
        if input.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes.pop_if(|last| *last == b'\n').is_none() && bytes.len() > max {
            return Err(LinesError::TooLong { line, max });
        }
        self.read = line;
        let text = String::from_utf8(bytes).ok();
        text.ok_or(LinesError::NotUtf8 { line }).map(Some)
    }

    fn next_run(&mut self) -> Result<Option<Vec<String>>, LinesError> {
        let (mut run, mut bytes) = (Vec::new(), 0);
        while run.len() < RUN_LINES
            && bytes < RUN_BYTES
            && let Some(line) = self.next_line()?
        {
            bytes += line.len();
            run.push(line);
        }
        Ok((!run.is_empty()).then_some(run))
    }
}

impl<R: BufRead> Iterator for LineRuns<R> {
    type Item = Result<Vec<String>, LinesError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_run().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_bounded_and_lose_nothing() {
        let text: String = (0..600).map(|number| format!("{number}\n")).collect();
        let runs: Vec<_> = LineRuns::new(text.as_bytes(), 10)
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            runs.iter().map(Vec::len).collect::<Vec<_>>(),
            [256, 256, 88]
        );
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(runs.concat(), lines);
        let long = vec![b'x'; RUN_BYTES / 3 + 1];
        let text = [&long[..], b"\n"].concat().repeat(4);
        let mut runs = LineRuns::new(&text[..], long.len());
        assert_eq!(runs.next().unwrap().unwrap().len(), 3);
        assert_eq!(runs.next().unwrap().unwrap().len(), 1);
        assert!(runs.next().is_none());
    }

    #[test]
    fn a_bad_line_is_named() {
        let read = |text: &[u8]| {
            let mut lines = LineRuns::new(text, 4);
            std::iter::from_fn(|| lines.next_line().transpose())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| error.to_string())
        };
        assert_eq!(read(b"abcd\nab").unwrap(), ["abcd", "ab"]);
        assert_eq!(
            read(b"ab\nabcde\n").unwrap_err(),
            "line 2: longer than 4 bytes"
        );
        assert_eq!(
            read(b"abcdefgh").unwrap_err(),
            "line 1: longer than 4 bytes"
        );
        assert_eq!(read(b"ab\n\xff\n").unwrap_err(), "line 2: not UTF-8");
    }
}
