//! `lyceum vm`: the Cryptoleq machine by itself.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use lyceum_vm::{
    Modulus, RUN_STEPS_DEFAULT, RunDomain, RunOptions, TraceStep, assemble, disassemble,
    run_program,
};

use super::{name, print, read_text};

#[derive(Debug, Subcommand)]
pub(crate) enum VmCommand {
    /// Run a program; prints how it ended, its memory and its output
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Assemble Cryptoleq text to a program file
    Asm {
        /// The text; - reads standard input
        file: PathBuf,
    },
    /// List a program file as Cryptoleq text, which assembles back to the same cells
    Disasm {
        /// The program (JSON); - reads standard input
        file: PathBuf,
    },
}

const RUN_EXAMPLES: &str = "Examples:
  echo '{\"memory\":[12,15,3, 13,15,6, 15,14,9, 15,15,-1, 20,22,0, 0]}' | lyceum vm run -
  lyceum vm run --domain xor --key 42 PROGRAM.json
  lyceum vm run --domain paillier --modulus 3233 PROGRAM.json";

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// What a cell is (a .sce file names its own)
    #[arg(long, value_enum)]
    domain: Option<Domain>,
    /// The mask of the domain xor, a signed 64-bit integer
    #[arg(
        long,
        value_name = "K",
        allow_negative_numbers = true,
        required_if_eq("domain", "xor")
    )]
    key: Option<i64>,
    /// The modulus of the domain paillier: odd, in decimal
    #[arg(long, value_name = "N", value_parser = Modulus::from_decimal, required_if_eq("domain", "paillier"))]
    modulus: Option<Modulus>,
    /// Stop after so many steps
    #[arg(long, value_name = "N", default_value_t = RUN_STEPS_DEFAULT)]
    max_steps: u64,
    /// Print one line for each step on standard error
    #[arg(long)]
    trace: bool,
    /// The program: JSON, or a .sce file; - reads standard input
    program: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Domain {
    /// Signed 64-bit integers
    Open,
    /// Integers masked by --key
    Xor,
    /// Residues modulo the square of --modulus
    Paillier,
}

impl VmCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Run(run) => run.run(),
            Self::Asm { file } => {
                let assembly = assemble(&read_text(&file)?);
                let assembly = assembly.with_context(|| name(&file))?;
                print(format!("{}\n", assembly.to_json()).as_bytes())
            }
            Self::Disasm { file } => {
                let text = disassemble(&read_text(&file)?);
                let text = text.with_context(|| name(&file))?;
                print(text.as_bytes())
            }
        }
    }
}

impl Run {
    fn run(self) -> anyhow::Result<()> {
        let text = read_text(&self.program)?;
        let options = RunOptions {
            domain: self.domain(),
            steps: self.max_steps,
            ..RunOptions::default()
        };
        let mut trace = BufWriter::new(std::io::stderr().lock());
        // Standard error may have gone away; the run goes on.
        let mut show = |step: &TraceStep| drop(writeln!(trace, "{step}"));
        let show: Option<&mut dyn FnMut(&TraceStep)> =
            if self.trace { Some(&mut show) } else { None };
        let output = run_program(&text, &options, show);
        let _ = trace.flush();
        let output = output.with_context(|| name(&self.program))?;
        print(&output.text)
    }

    fn domain(&self) -> Option<RunDomain> {
        self.domain.map(|domain| match domain {
            Domain::Open => RunDomain::Open,
            Domain::Xor => RunDomain::Xor(self.key.expect("clap asks for it")),
            Domain::Paillier => {
                RunDomain::Paillier(self.modulus.clone().expect("clap asks for it"))
            }
        })
    }
}
