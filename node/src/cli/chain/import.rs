//! `lyceum chain import`: block lines from a file, everything checked.

use std::io::BufRead;
use std::path::Path;

use anyhow::{Context as _, bail};
use lyceum_protocol::Height;
use lyceum_storage::Durability;

use super::{Place, name, now, open_lines};
use crate::cli::progress::Progress;
use crate::core::{Chain, LineRuns};

/// Killed, it can be run again: it goes on where the ledger stands.
const DURABILITY: Durability = Durability::Unlogged;

pub(super) fn import(place: &Place, file: &Path) -> anyhow::Result<()> {
    let (mut chain, _) = place.open()?;
    let input = open_lines(file)?;
    let bytes = std::fs::metadata(file).map_or(0, |file| file.len());
    let mut progress = Progress::of_bytes("importing", bytes);
    let imported = import_lines(&mut chain, input, &mut progress);
    let tip = chain.tip()?;
    chain.close()?;
    let (read, new) = imported.with_context(|| name(file))?;
    progress.finish(&format!(
        "{read} lines, {new} new; height {}, tip {}",
        tip.height, tip.hash
    ));
    Ok(())
}

/// Imports lines run by run; gives how many were read, and how many were new.
fn import_lines(
    chain: &mut Chain,
    input: Box<dyn BufRead + Send>,
    progress: &mut Progress,
) -> anyhow::Result<(usize, usize)> {
    let genesis = chain.store().read().line_at(Height::ZERO)?;
    let mut lines = LineRuns::new(input, chain.spec().max_block_bytes as usize);
    let Some(first) = lines.next_line()? else {
        return Ok((0, 0));
    };
    if Some(&first) != genesis.as_ref() {
        let chain = &chain.spec().chain;
        bail!("line 1: not the genesis of the chain {:?}", chain.as_str());
    }
    progress.step(first.len() as u64 + 1);
    let (mut done, mut new) = (1, 0);
    let runs = lines.map(|run| run.map_err(anyhow::Error::from));
    chain.import_runs(runs, now, DURABILITY, |run| {
        (done, new) = (done + run.done, new + run.new);
        progress.step(run.bytes);
        let error = run.error.map_or(Ok(()), Err);
        error.with_context(|| format!("line {}", done + 1))
    })?;
    Ok((done, new))
}
