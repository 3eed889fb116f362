//! Many blocks at once, as a chain is pulled: signatures in parallel, links and execution in order, one write for all.

use lyceum_protocol::{BlockHash, BlockLine, Timestamp, TreeHeader, UnlinkedBlock, check_unlinked};
use lyceum_storage::Durability;
use rayon::prelude::*;

use super::context::parent_context;
use super::{Chain, ChainError, Imported, TipChange, connect_block};

/// Lines whose signatures one task verifies together.
const TASK_LINES: usize = 16;

/// How far a run of blocks came.
#[derive(Debug, Default)]
pub struct ImportRun {
    /// Lines dealt with: all before the one that stopped the run. They are kept.
    pub done: usize,
    /// How many of them were new.
    pub new: usize,
    /// What stopped it, at line `done`; `None` where all went well.
    pub error: Option<ChainError>,
    /// How the main chain changed in all.
    pub change: TipChange,
}

impl Chain {
    /// Takes block lines that follow each other, most of them on the tip; what was good before an error is kept, by one write.
    ///
    /// Some hundred lines a call: their text, their changes and their tree nodes are held in memory until the write.
    pub fn import_run(
        &mut self,
        lines: &[&str],
        now: Timestamp,
        durability: Durability,
    ) -> ImportRun {
        let (spec, seed) = (&self.spec, &self.seed);
        let tasks = lines.par_chunks(TASK_LINES);
        let verdicts = tasks.flat_map_iter(|lines| check_unlinked(lines, spec, seed));
        let verdicts: Vec<_> = verdicts.collect();
        let mut run = ImportRun::default();
        let mut rest = verdicts.into_iter().zip(lines).peekable();
        while rest.peek().is_some() {
            let before = run.done;
            let ended = self.extend_tip(&mut rest, now, durability, &mut run);
            if let Err(error) = ended {
                run.error = Some(error);
                return run;
            }
            // A line that does not extend the tip goes the long way.
            if let Some((_, line)) = rest.next_if(|_| before == run.done) {
                match self.import(line, now) {
                    Ok(imported) => {
                        run.new += usize::from(imported != Imported::Known);
                        if let Imported::Tip(change) = imported {
                            run.change.extend(change);
                        }
                    }
                    Err(error) => {
                        run.error = Some(error);
                        return run;
                    }
                }
                run.done += 1;
            }
        }
        run
    }

    /// Connects the lines that extend the tip, up to the first that does not, in one batch.
    fn extend_tip<'l>(
        &mut self,
        rest: &mut std::iter::Peekable<
            impl Iterator<
                Item = (
                    Result<UnlinkedBlock, lyceum_protocol::BlockError>,
                    &'l &'l str,
                ),
            >,
        >,
        now: Timestamp,
        durability: Durability,
        run: &mut ImportRun,
    ) -> Result<(), ChainError> {
        let mut batch = self.store.begin();
        let mut tip = batch.read().tip()?.map(|tip| tip.hash);
        let mut connected = 0;
        let mut refused = None;
        while let Some((verdict, line)) = rest.next_if(|(verdict, line)| match verdict {
            Ok(block) => {
                Some(block.header().claims().parent) == tip && !self.tree.contains(&hash(line))
            }
            Err(_) => true,
        }) {
            let linked = verdict.map_err(ChainError::from).and_then(|block| {
                let parent = block.header().claims().parent;
                let context = parent_context(&batch.read(), &self.spec, parent)?;
                Ok(block.link(context.as_ref(), now)?)
            });
            let line = BlockLine::new(line);
            let connect = linked.and_then(|block| {
                connect_block(&mut batch, &self.executor, &self.spec, &block, line)??;
                Ok(TreeHeader::from(&block.header))
            });
            match connect {
                Ok(header) => {
                    connected += 1;
                    tip = Some(header.hash);
                    run.change.connected.push(header.hash);
                    self.tree.insert(header)?;
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        batch.commit(durability)?;
        run.done += connected;
        run.new += connected;
        refused.map_or(Ok(()), Err)
    }
}

fn hash(line: &str) -> BlockHash {
    BlockHash::of(BlockLine::new(line).token().as_bytes())
}
