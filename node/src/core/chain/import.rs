//! An import run by run: where it stands, and who is told.

use lyceum_protocol::Timestamp;

use super::ChainError;
use super::ahead::{Ahead, Failure, Flight, Landed, Source, Stop};
use super::run::{CheckedRun, ImportRun};

/// An import under way.
pub(super) struct Import<L, R, N, F> {
    pub(super) source: Source<L, R>,
    pub(super) now: N,
    each: F,
    /// The run that is to be told of next, as far as it is committed.
    pub(super) run: ImportRun,
}

/// Why an import can't go on ahead.
pub(super) enum Ended<L, E> {
    /// There is nothing more to do, or somebody ended it.
    All(Result<(), E>),
    /// The next line does not extend the tip.
    OffTip,
    /// The line after the committed ones is refused, or there is trouble with it.
    Refused(ChainError),
    /// The blocks after the committed ones can't be kept.
    Failed(Flight<L>, Box<Failure>),
}

impl<L, E, R, N, F> Import<L, R, N, F>
where
    L: AsRef<str>,
    R: Iterator<Item = Result<CheckedRun<L>, E>>,
    N: Fn() -> Timestamp,
    F: FnMut(ImportRun) -> Result<(), E>,
{
    pub(super) fn new(runs: R, now: N, each: F) -> Self {
        Self {
            source: Source::new(runs),
            now,
            each,
            run: ImportRun::default(),
        }
    }

    /// Connects blocks for as long as they extend the tip. All that was executed is committed then, or of no use.
    pub(super) fn go_ahead(&mut self, ahead: &mut Ahead<'_, L>) -> Ended<L, E> {
        loop {
            if let Err(ended) = self.fill(ahead) {
                // Where somebody ended it, what is on its way is committed all the same.
                ahead.land();
                return ended;
            }
        }
    }

    /// Fills a batch.
    fn fill(&mut self, ahead: &mut Ahead<'_, L>) -> Result<(), Ended<L, E>> {
        let fill = ahead.fill(&mut self.source, &self.now);
        self.landed(fill.landed)?;
        let Some(stop) = fill.stop else {
            return Ok(());
        };
        self.landed(ahead.land())?;
        if let Some(flight) = fill.idle {
            self.landed(Some((flight, Ok(()))))?;
        }
        Err(match stop {
            Stop::OffTip => Ended::OffTip,
            Stop::Refused(error) => Ended::Refused(error),
            Stop::End(result) => Ended::All(result),
        })
    }

    /// Adds what is committed to the runs that it is of, and tells of those that are whole.
    pub(super) fn landed(&mut self, landed: Option<Landed<L>>) -> Result<(), Ended<L, E>> {
        let Some((flight, result)) = landed else {
            return Ok(());
        };
        if let Err(failure) = result {
            return Err(Ended::Failed(flight, Box::new(failure)));
        }
        let mut ends = flight.run_ends.iter().peekable();
        let blocks = flight.lines.iter().zip(&flight.headers).map(Some);
        for (index, block) in blocks.chain([None]).enumerate() {
            while ends.next_if_eq(&&index).is_some() {
                self.report().map_err(|error| Ended::All(Err(error)))?;
            }
            if let Some((line, header)) = block {
                self.run.took(line.as_ref());
                self.run.new += 1;
                self.run.change.connected.push(header.hash);
            }
        }
        Ok(())
    }

    /// Tells of the run.
    pub(super) fn report(&mut self) -> Result<(), E> {
        (self.each)(std::mem::take(&mut self.run))
    }
}
