//! `lyceum chain`: a ledger on disk, without a running node.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use directories::ProjectDirs;
use lyceum_protocol::{ChainSpec, Height, TxBody};
use lyceum_storage::{Durability, Options, Reader};
use serde_json::json;

use super::{name, print, progress::Progress, read_text};
use crate::clock::now;
use crate::core::{Chain, RUN_BYTES, RUN_LINES};
use crate::driver::{folder_chain, open_chain};
use crate::hs256::{Hs256Difficulty, Hs256Reader};

mod import;

#[derive(Debug, Subcommand)]
pub(crate) enum ChainCommand {
    /// Make a data folder with the genesis of a chain
    #[command(
        after_help = "Examples:\n  lyceum chain init --chain dev\n  lyceum chain init --chain my-net.json --data-dir /var/lib/lyceum"
    )]
    Init(Init),
    /// Write the whole chain to a file, one block a line
    Export {
        #[command(flatten)]
        place: Place,
        /// The file to write; - is standard output
        file: PathBuf,
    },
    /// Read blocks from a file, checking everything; what was good before an error is kept, and if it is killed, it goes on from there when run again
    Import {
        #[command(flatten)]
        place: Place,
        /// The file to read; - is standard input
        file: PathBuf,
    },
    /// Check the whole chain again from genesis: rules, execution, segments
    Verify(Place),
    /// Check a chain of HS256 blocks, and print its contracts as transaction bodies of this chain, one a line
    #[command(name = "import-hs256")]
    ImportHs256 {
        /// The blocks, one a line; - reads standard input
        file: PathBuf,
        /// The secret that signs them
        #[arg(long, value_name = "S")]
        secret: String,
        /// How many hex zeros a block's hash starts with
        #[arg(long, value_name = "N", default_value_t = Hs256Difficulty::default())]
        difficulty: Hs256Difficulty,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// dev, public, or a chain file
    #[arg(long, value_name = "dev|public|FILE", default_value = "dev")]
    chain: String,
    /// Where the ledger is kept (default: the user's data folder, one per chain)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Place {
    /// dev, public, or a chain file; a data folder knows its own
    #[arg(long, value_name = "dev|public|FILE")]
    chain: Option<String>,
    /// Where the ledger is kept (default: the user's data folder, one per chain)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl ChainCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(),
            Self::Export { place, file } => export(&place, &file),
            Self::Import { place, file } => import::import(&place, &file),
            Self::Verify(place) => verify(&place),
            Self::ImportHs256 {
                file,
                secret,
                difficulty,
            } => import_hs256(&file, &secret, difficulty),
        }
    }
}

/// The chain of that name, or in that file.
pub(crate) fn read_spec(chain: &str) -> anyhow::Result<ChainSpec> {
    if let Some(spec) = ChainSpec::embedded(chain) {
        return Ok(spec);
    }
    let file = Path::new(chain);
    ChainSpec::parse(&read_text(file)?).with_context(|| name(file))
}

/// Where the ledger of a chain is kept, where the user does not say.
pub(crate) fn default_folder(chain: &str) -> anyhow::Result<PathBuf> {
    let folders = ProjectDirs::from("", "", "lyceum");
    let folders = folders.context("no data folder for this user: give --data-dir")?;
    Ok(folders.data_dir().join(chain))
}

impl Place {
    /// The data folder and the chain in it.
    fn find(&self) -> anyhow::Result<(PathBuf, ChainSpec)> {
        let spec = self.chain.as_deref().map(read_spec).transpose()?;
        let folder = match (&self.data_dir, &spec) {
            (Some(folder), _) => folder.clone(),
            (None, Some(spec)) => default_folder(spec.chain.as_str())?,
            (None, None) => default_folder("dev")?,
        };
        let Some(own) = folder_chain(&folder)? else {
            let folder = folder.display();
            bail!(
                "{folder}: no ledger there; make one with: lyceum chain init --data-dir {folder}"
            );
        };
        if spec.is_some_and(|spec| spec != own) {
            bail!(
                "{}: holds the chain {:?}, another than --chain",
                folder.display(),
                own.chain.as_str()
            );
        }
        Ok((folder, own))
    }

    pub(crate) fn open(&self) -> anyhow::Result<(Chain, PathBuf)> {
        let (folder, spec) = self.find()?;
        let chain = open(&folder, &spec)?;
        Ok((chain, folder))
    }
}

fn open(folder: &Path, spec: &ChainSpec) -> anyhow::Result<Chain> {
    let chain = open_chain(folder, spec, &Options::default());
    let chain = chain.map_err(|error| match error.is_locked() {
        true => anyhow::Error::new(error).context(
            "a node has this ledger open: ask it, with --http where the command has it, or stop it",
        ),
        false => error.into(),
    })?;
    let report = chain.store().report();
    if let Some(cut) = &report.log_cut {
        eprintln!(
            "lyceum: {}: the end of the log was damaged, the tip is an earlier one: {cut}",
            folder.display()
        );
    }
    for segment in &report.damaged_segments {
        eprintln!(
            "lyceum: segment {} is damaged and must be fetched again: {}",
            segment.index, segment.reason
        );
    }
    Ok(chain)
}

impl Init {
    fn run(&self) -> anyhow::Result<()> {
        let spec = read_spec(&self.chain)?;
        let folder = match &self.data_dir {
            Some(folder) => folder.clone(),
            None => default_folder(spec.chain.as_str())?,
        };
        let chain = open(&folder, &spec)?;
        let (genesis, tip) = (chain.store().genesis(), chain.tip()?);
        let text = match self.json {
            true => json!({
                "chain": chain.spec().chain.as_str(), "genesis": genesis.to_string(),
                "state_root": tip.state_root.to_string(), "height": tip.height.get(),
                "data_dir": folder.display().to_string(),
            })
            .to_string(),
            false => format!(
                "{} in {}\ngenesis {genesis}\nheight  {}",
                chain.spec().chain,
                folder.display(),
                tip.height
            ),
        };
        chain.close()?;
        print(format!("{text}\n").as_bytes())
    }
}

fn export(place: &Place, file: &Path) -> anyhow::Result<()> {
    let (chain, _) = place.open()?;
    let mut out: Box<dyn Write> = match file == Path::new("-") {
        true => Box::new(BufWriter::new(io::stdout().lock())),
        false => Box::new(BufWriter::new(
            File::create(file).with_context(|| name(file))?,
        )),
    };
    let view = chain.store().read();
    let tip = chain.tip()?;
    let mut progress = Progress::new("exporting", tip.height.get() + 1);
    for height in 0..=tip.height.get() {
        let line = view.line_at(Height::new(height)?)?;
        let line = line.with_context(|| format!("the block at height {height} is missing"))?;
        writeln!(out, "{line}").with_context(|| name(file))?;
        progress.step(1);
    }
    out.flush().with_context(|| name(file))?;
    progress.finish(&format!(
        "{} blocks, tip {}",
        tip.height.get() + 1,
        tip.hash
    ));
    drop(view);
    Ok(chain.close()?)
}

/// A file to be read line by line; `-` is standard input.
fn open_lines(file: &Path) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(file).with_context(|| name(file))?;
    Ok(Box::new(BufReader::new(file)))
}

fn import_hs256(file: &Path, secret: &str, difficulty: Hs256Difficulty) -> anyhow::Result<()> {
    let blocks = Hs256Reader::new(open_lines(file)?, secret.as_bytes(), difficulty);
    let (mut count, mut bodies) = (0, 0);
    for block in blocks {
        let block = block.with_context(|| name(file))?;
        for body in &block.bodies {
            let member = match body {
                TxBody::Actions(actions) => format!("{{\"actions\":{actions}}}\n"),
                TxBody::Contract(contract) => format!("{{\"contract\":{contract}}}\n"),
            };
            print(member.as_bytes())?;
            bodies += 1;
        }
        count += 1;
    }
    eprintln!("{count} blocks, {bodies} transactions");
    Ok(())
}

fn verify(place: &Place) -> anyhow::Result<()> {
    let (chain, folder) = place.open()?;
    let tip = chain.tip()?;
    let scratch = folder.join("verify.tmp");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    }
    let mut progress = Progress::new("verifying", tip.height.get());
    let verified = replay(&chain, &scratch, &mut progress);
    std::fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    verified?;
    progress.finish(&format!(
        "height {}, tip {}, state {}: all good",
        tip.height, tip.hash, tip.state_root
    ));
    Ok(chain.close()?)
}

/// Imports the chain once more into an empty ledger beside it.
fn replay(chain: &Chain, scratch: &Path, progress: &mut Progress) -> anyhow::Result<()> {
    let mut again = open(scratch, chain.spec())?;
    let tip = chain.tip()?;
    let reader = chain.store().reader();
    let mut height = 1;
    let runs = std::iter::from_fn(|| {
        let run = stored_run(&reader, height, tip.height.get());
        height += run.as_ref().map_or(0, |run| run.len() as u64);
        run.map(|run| (!run.is_empty()).then_some(run)).transpose()
    });
    let mut done = 0;
    again.import_runs(runs, now, Durability::Unlogged, |run| {
        progress.step(run.done as u64);
        done += run.done as u64;
        let error = run.error.map_or(Ok(()), Err);
        error.with_context(|| format!("the block at height {}", done + 1))
    })?;
    let replayed = again.tip()?;
    again.close()?;
    if replayed != tip {
        bail!("the ledger's tip is {tip:?}, its blocks give {replayed:?}");
    }
    Ok(())
}

/// The lines from a height on that are imported by one write.
fn stored_run(reader: &Reader, first: u64, last: u64) -> anyhow::Result<Vec<String>> {
    let view = reader.read();
    let (mut run, mut bytes) = (Vec::new(), 0);
    for height in first..=last {
        if run.len() == RUN_LINES || bytes >= RUN_BYTES {
            break;
        }
        let line = view.line_at(Height::new(height)?)?;
        let line = line.with_context(|| format!("the block at height {height} is missing"))?;
        bytes += line.len();
        run.push(line);
    }
    Ok(run)
}
