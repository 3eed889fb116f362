//! Imports of many runs: what each is told of, and where they end. Batches are so small that several runs share one, and one run has several.

use lyceum_node::core::{Chain, ChainError, ImportRun};
use lyceum_protocol::{BatchSeed, ChainSpec};
use lyceum_storage::{Durability, Options, Store};

use crate::forge::*;

/// A chain whose batches hold about so many bytes.
fn chain_of_batches(spec: &ChainSpec, batch_bytes: usize) -> Chain {
    let options = Options {
        batch_bytes,
        ..Options::default()
    };
    let open = |spec: &ChainSpec, genesis| Ok(Store::in_memory(spec, genesis, &options));
    Chain::open(spec.clone(), open, BatchSeed::new([9; 32])).unwrap()
}

const BATCHES: [usize; 4] = [1, 20_000, 100_000, 16 << 20];

/// Runs of lines.
fn runs(lines: &[String], run_lens: &[usize]) -> Vec<Vec<String>> {
    let mut lines = lines.iter().cloned();
    let runs = run_lens
        .iter()
        .map(|len| lines.by_ref().take(*len).collect());
    runs.collect()
}

/// Imports runs; what was told, and the result.
fn import(
    chain: &mut Chain,
    runs: Vec<Result<Vec<String>, &'static str>>,
    mut each: impl FnMut(&ImportRun) -> Result<(), &'static str> + Send,
) -> (Vec<ImportRun>, Result<(), &'static str>) {
    let mut told = Vec::new();
    let result = chain.import_runs(runs.into_iter(), now, Durability::Unlogged, |run| {
        let said = each(&run);
        told.push(run);
        said
    });
    // Whatever ended it: the tree is that of what is committed.
    assert_eq!(chain.tree().tip(), chain.tip().unwrap().hash);
    (told, result)
}

fn all_good(runs: Vec<Vec<String>>) -> Vec<Result<Vec<String>, &'static str>> {
    runs.into_iter().map(Ok).collect()
}

#[test]
fn each_run_is_told_of_in_order_and_empty_ones_too() {
    let spec = spec();
    let mut source = chain(&spec);
    let lines = extend(&mut source, 1, 20);
    let lens = [1, 0, 5, 2, 0, 0, 9, 3, 0];
    for batch_bytes in BATCHES {
        let mut chain = chain_of_batches(&spec, batch_bytes);
        let runs = runs(&lines, &lens);
        let (told, result) = import(&mut chain, all_good(runs.clone()), |_| Ok(()));
        assert_eq!(result, Ok(()));
        assert_eq!(told.len(), runs.len());
        for (told, run) in told.iter().zip(&runs) {
            assert_eq!((told.done, told.new), (run.len(), run.len()));
            let bytes: usize = run.iter().map(|line| line.len() + 1).sum();
            assert_eq!(told.bytes, bytes as u64);
            let hashes: Vec<_> = run.iter().map(|line| hash(line)).collect();
            assert_eq!(told.change.connected, hashes);
            assert!(told.error.is_none());
        }
        assert_eq!(chain.tip().unwrap(), source.tip().unwrap());
        // Sealed on the way: segments of four blocks, two blocks deep.
        assert_eq!(chain.store().read().sealed_segments().unwrap().get(), 4);
        // Once more, and nothing is new.
        let (told, result) = import(&mut chain, all_good(runs), |_| Ok(()));
        assert_eq!(result, Ok(()));
        assert_eq!(told.iter().map(|run| run.done).sum::<usize>(), 20);
        assert_eq!(told.iter().map(|run| run.new).sum::<usize>(), 0);
    }
}

/// Known blocks, a branch that is left again, and blocks on the tip, in one text.
#[test]
fn lines_off_the_tip_go_the_long_way_and_the_rest_goes_on() {
    let spec = spec();
    let (mut ours, mut theirs) = (chain(&spec), chain(&spec));
    let short = extend(&mut ours, 1, 2);
    let long = extend(&mut theirs, 2, 12);
    let text: Vec<String> = short
        .iter()
        .chain(&short[..1])
        .chain(&long)
        .cloned()
        .collect();
    for batch_bytes in BATCHES {
        for lens in [&[15][..], &[1; 15], &[3, 2, 4, 6]] {
            let mut chain = chain_of_batches(&spec, batch_bytes);
            let (told, result) = import(&mut chain, all_good(runs(&text, lens)), |_| Ok(()));
            assert_eq!(result, Ok(()));
            let done: Vec<_> = told.iter().map(|run| run.done).collect();
            assert_eq!(done, lens);
            assert_eq!(told.iter().map(|run| run.new).sum::<usize>(), 14);
            let left = told.iter().flat_map(|run| &run.change.disconnected);
            assert_eq!(left.count(), 2);
            assert_eq!(chain.tip().unwrap(), theirs.tip().unwrap());
        }
    }
}

/// At the line and by the rule, whichever batch it is in, and whatever is said to it; what was good before is kept, and nothing after it is taken.
#[test]
fn the_first_bad_line_ends_it() {
    let spec = spec();
    let mut source = chain(&spec);
    let lines = extend(&mut source, 1, 16);
    let unread = "a bad line";
    for batch_bytes in BATCHES {
        for bad in [0, 3, 7, 15] {
            let damaged = lines[bad].replacen('.', "!", 1);
            let forged = super::ahead::forged(&spec, &lines, bad);
            let texts = [
                ("state_root", forged),
                (
                    "token",
                    [&lines[..bad], &[damaged], &lines[bad + 1..]].concat(),
                ),
            ];
            let said = [Err(unread), Ok(())];
            for ((reason, text), said) in
                texts.iter().flat_map(|text| said.map(|said| (text, said)))
            {
                let mut chain = chain_of_batches(&spec, batch_bytes);
                let (told, result) = import(&mut chain, all_good(runs(text, &[4; 4])), |run| {
                    run.error.as_ref().map_or(Ok(()), |_| said)
                });
                assert_eq!(result, said);
                assert_eq!(told.iter().map(|run| run.done).sum::<usize>(), bad);
                assert_eq!(told.iter().map(|run| run.new).sum::<usize>(), bad);
                assert_eq!(told.len(), bad / 4 + 1);
                let Some(ChainError::Block(error)) = &told[bad / 4].error else {
                    panic!("{:?}", told[bad / 4].error)
                };
                assert!(
                    error.reason().contains(reason),
                    "{} for {reason}",
                    error.reason()
                );
                assert_eq!(chain.tip().unwrap().height.get(), bad as u64);
                let view = chain.store().read();
                assert_eq!(view.state_root().unwrap(), chain.tip().unwrap().state_root);
                drop(view);
                // The right lines are taken afterwards.
                let (_, result) = import(&mut chain, all_good(vec![lines.clone()]), |_| Ok(()));
                assert_eq!(result, Ok(()));
                assert_eq!(chain.tip().unwrap(), source.tip().unwrap());
            }
        }
    }
}

#[test]
fn what_was_executed_is_kept_when_runs_or_their_reader_end_it() {
    let spec = spec();
    let mut source = chain(&spec);
    let lines = extend(&mut source, 1, 12);
    for batch_bytes in BATCHES {
        let mut chain = chain_of_batches(&spec, batch_bytes);
        let mut broken = all_good(runs(&lines, &[3, 3]));
        broken.push(Err("unreadable"));
        let (told, result) = import(&mut chain, broken, |_| Ok(()));
        assert_eq!(result, Err("unreadable"));
        assert_eq!(told.len(), 2);
        assert_eq!(chain.tip().unwrap().height.get(), 6);

        let (told, result) = import(&mut chain, all_good(runs(&lines[6..], &[2, 2, 2])), |run| {
            assert_eq!(run.new, 2);
            Err("enough")
        });
        assert_eq!(result, Err("enough"));
        assert_eq!(told.len(), 1);
        assert!(chain.tip().unwrap().height.get() >= 8);
        let (_, result) = import(&mut chain, all_good(vec![lines.clone()]), |_| Ok(()));
        assert_eq!(result, Ok(()));
        assert_eq!(chain.tip().unwrap(), source.tip().unwrap());
    }
}
