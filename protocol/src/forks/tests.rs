//! The tree against a model that recomputes everything, and its bounds.

use proptest::prelude::*;

use super::*;
use crate::U256;

const ROOT: u64 = 0;

fn hash(id: u64) -> BlockHash {
    BlockHash::of(&id.to_le_bytes())
}

fn height(value: u64) -> Height {
    Height::new(value).unwrap()
}

fn header(id: u64, parent: u64, at: u64, work: u64) -> TreeHeader {
    TreeHeader {
        hash: hash(id),
        parent: hash(parent),
        height: height(at),
        work: Work::new(U256::from(work)),
    }
}

fn tree(side_headers_max: usize) -> HeaderTree {
    HeaderTree::new(header(ROOT, 999_999, 0, 1), side_headers_max)
}

/// Adds ids `from..from + len` one above the other, on `parent` at height `at`.
fn grow(tree: &mut HeaderTree, parent: u64, at: u64, from: u64, len: u64) {
    for i in 0..len {
        let below = if i == 0 { parent } else { from + i - 1 };
        tree.insert(header(from + i, below, at + i + 1, 1)).unwrap();
    }
}

/// A header as the model knows it; `None` once it is forgotten.
#[derive(Clone)]
struct Entry {
    header: TreeHeader,
    parent: usize,
    total: U256,
}

/// Everything by brute force; entries in the order of insertion.
struct Model {
    entries: Vec<Option<Entry>>,
    invalid: BTreeSet<BlockHash>,
}

impl Model {
    fn new() -> Self {
        let root = Entry {
            header: header(ROOT, 999_999, 0, 1),
            parent: 0,
            total: U256::ONE,
        };
        Self {
            entries: vec![Some(root)],
            invalid: BTreeSet::new(),
        }
    }

    fn entry(&self, i: usize) -> &Entry {
        self.entries[i].as_ref().unwrap()
    }

    fn live(&self) -> Vec<usize> {
        let live = |i: &usize| self.entries[*i].is_some();
        (0..self.entries.len()).filter(live).collect()
    }

    fn best(&self) -> usize {
        // The first of the greatest: `max_by_key` gives the last.
        let live = self.live().into_iter().rev();
        live.max_by_key(|&i| self.entry(i).total).unwrap()
    }

    /// From `i` down to the root.
    fn chain(&self, i: usize) -> Vec<usize> {
        let down = |i: &usize| (*i != 0).then(|| self.entry(*i).parent);
        std::iter::successors(Some(i), down).collect()
    }

    fn hash(&self, i: usize) -> BlockHash {
        self.entry(i).header.hash
    }

    fn common(&self, a: usize, b: usize) -> usize {
        let below_b = self.chain(b);
        let mut below_a = self.chain(a).into_iter();
        below_a.find(|i| below_b.contains(i)).unwrap()
    }

    fn insert(&mut self, parent: usize, work: u64) -> TreeHeader {
        let id = self.entries.len() as u64;
        let below = self.entry(parent);
        let mut new = header(id, 0, below.header.height.get() + 1, work);
        new.parent = below.header.hash;
        let total = below.total + U256::from(work);
        self.entries.push(Some(Entry {
            header: new,
            parent,
            total,
        }));
        new
    }

    fn forget(&mut self, gone: &[usize]) {
        for &i in gone {
            self.entries[i] = None;
        }
    }

    fn invalidate(&mut self, index: usize) {
        let above = |i: &usize| self.chain(*i).contains(&index);
        let gone: Vec<_> = self.live().into_iter().filter(above).collect();
        let hashes: Vec<_> = gone.iter().map(|&i| self.hash(i)).collect();
        self.invalid.extend(hashes);
        self.forget(&gone);
    }

    fn prune(&mut self, height: u64) {
        let best = self.best();
        let drops = |i: &usize| {
            let fork = self.common(*i, best);
            fork != *i && self.entry(fork).header.height.get() < height
        };
        let gone: Vec<_> = self.live().into_iter().filter(drops).collect();
        self.forget(&gone);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(prop::sample::Index, u64),
    Invalidate(prop::sample::Index),
    Prune(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (any::<prop::sample::Index>(), 1..4_u64).prop_map(|(at, work)| Step::Insert(at, work)),
        1 => any::<prop::sample::Index>().prop_map(Step::Invalidate),
        1 => (0..12_u64).prop_map(Step::Prune),
    ];
    prop::collection::vec(step, 0..80)
}

/// Runs the steps on both; insertions prefer late entries, so that chains grow long.
fn run(steps: &[Step]) -> (HeaderTree, Model) {
    let (mut tree, mut model) = (tree(1_000), Model::new());
    for step in steps {
        let live = model.live();
        match step {
            Step::Insert(at, work) => {
                let recent = &live[live.len().saturating_sub(6)..];
                let parent = *at.get(recent);
                let new = model.insert(parent, *work);
                let want = match model.best() == model.entries.len() - 1 {
                    true => Insertion::Tip,
                    false => Insertion::Side,
                };
                assert_eq!(tree.insert(new), Ok(want));
                assert_eq!(tree.insert(new), Ok(Insertion::Known));
            }
            Step::Invalidate(at) => match *at.get(&live) {
                0 => assert_eq!(tree.invalidate(&hash(ROOT)), Err(TreeError::Root)),
                index => {
                    let hash = model.hash(index);
                    model.invalidate(index);
                    assert_eq!(tree.invalidate(&hash), Ok(()));
                }
            },
            Step::Prune(at) => {
                model.prune(*at);
                tree.prune(height(*at));
            }
        }
        assert_eq!(tree.tip(), model.hash(model.best()));
    }
    (tree, model)
}

/// Follows a path from the end of a chain (root first).
fn apply(mut chain: Vec<BlockHash>, path: &ReorgPath) -> Vec<BlockHash> {
    for hash in &path.disconnect {
        assert_eq!(chain.pop().as_ref(), Some(hash));
    }
    chain.extend(&path.connect);
    chain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_the_model(steps in steps()) {
        let (tree, model) = run(&steps);
        let live = model.live();
        let best = model.best();
        let main = model.chain(best);
        prop_assert_eq!(tree.side_len(), live.len() - main.len());
        prop_assert_eq!(tree.tip_height().get() + 1, main.len() as u64);
        for &i in &live {
            let (entry, chain) = (model.entry(i), model.chain(i));
            let this = entry.header.hash;
            prop_assert_eq!(tree.height_of(&this), Some(entry.header.height));
            prop_assert_eq!(tree.total_work(&this).map(Work::get), Some(entry.total));
            prop_assert_eq!(tree.is_main(&this), main.contains(&i));
            for &below in &chain {
                let at = model.entry(below).header.height;
                prop_assert_eq!(tree.ancestor(&this, at), Some(model.hash(below)));
            }
            prop_assert_eq!(tree.ancestor(&this, entry.header.height.next()), None);
        }
        for (at, &i) in main.iter().rev().enumerate() {
            prop_assert_eq!(tree.main_hash(height(at as u64)), Some(model.hash(i)));
        }
        prop_assert_eq!(tree.main_hash(height(main.len() as u64)), None);
        for hash in &model.invalid {
            prop_assert!(tree.is_invalid(hash) && !tree.contains(hash));
        }
    }

    #[test]
    fn paths_lead_from_chain_to_chain(steps in steps()) {
        let (tree, model) = run(&steps);
        let hashes = |i| model.chain(i).into_iter().rev().map(|i| model.hash(i)).collect::<Vec<_>>();
        for &from in &model.live() {
            for &to in &model.live() {
                let (a, b) = (model.hash(from), model.hash(to));
                let common = model.common(from, to);
                prop_assert_eq!(tree.common_ancestor(&a, &b), Some(model.hash(common)));
                let path = tree.reorg_path(&a, &b).unwrap();
                prop_assert_eq!(apply(hashes(from), &path), hashes(to));
                // The shortest: nothing is undone only to be done again.
                if from != to {
                    prop_assert_ne!(path.disconnect.last(), path.connect.first());
                }
            }
        }
    }

    /// Any order in which parents come first: the same best work, and the same tip unless there are several.
    #[test]
    fn order_does_not_matter(steps in steps(), keys in prop::collection::vec(any::<u32>(), 80)) {
        let inserts: Vec<_> = steps.into_iter().filter(|s| matches!(s, Step::Insert(..))).collect();
        let (first, model) = run(&inserts);
        let mut waiting = model.live()[1..].to_vec();
        waiting.sort_by_key(|&i| keys[i % keys.len()]);
        let mut second = tree(1_000);
        while !waiting.is_empty() {
            waiting.retain(|&i| match second.insert(model.entry(i).header) {
                Ok(_) => false,
                Err(error) => {
                    assert_eq!(error, TreeError::UnknownParent(model.entry(i).header.parent));
                    true
                }
            });
        }
        let work = |tree: &HeaderTree| tree.total_work(&tree.tip()).unwrap();
        prop_assert_eq!(work(&first), work(&second));
        let best = model.live().into_iter().filter(|&i| model.entry(i).total == work(&first).get());
        if best.count() == 1 {
            prop_assert_eq!(first.tip(), second.tip());
        }
    }

    /// The bound holds after every insertion, and the tip is what it would be without one.
    #[test]
    fn side_headers_are_bounded(steps in steps(), max in 0..5_usize) {
        let inserts: Vec<_> = steps.into_iter().filter(|s| matches!(s, Step::Insert(..))).collect();
        let (_, model) = run(&inserts);
        let mut bounded = tree(max);
        for i in &model.live()[1..] {
            let (before, tip) = (bounded.side_len(), bounded.tip());
            let work = bounded.total_work(&tip);
            match bounded.insert(model.entry(*i).header) {
                Ok(Insertion::Side) => prop_assert!(bounded.side_len() <= max),
                Ok(Insertion::Known) => prop_assert!(false, "inserted once"),
                Ok(Insertion::Tip) => prop_assert!(bounded.total_work(&bounded.tip()) > work),
                Err(_) => prop_assert!(bounded.side_len() <= before && bounded.tip() == tip),
            }
            prop_assert!(bounded.contains(&tip), "a tip is forgotten only later");
        }
    }
}

#[test]
fn errors_are_named() {
    let mut tree = tree(10);
    grow(&mut tree, ROOT, 0, 1, 3);
    let unknown = tree.insert(header(9, 8, 2, 1));
    assert_eq!(unknown, Err(TreeError::UnknownParent(hash(8))));
    let (got, want) = (3, 4);
    assert_eq!(
        tree.insert(header(9, 3, 3, 1)),
        Err(TreeError::Height { got, want })
    );
    assert_eq!(
        tree.insert(header(9, 3, 4, 0)),
        Err(TreeError::NoWork(hash(9)))
    );
    assert_eq!(tree.invalidate(&hash(9)), Err(TreeError::Unknown(hash(9))));
    assert_eq!(tree.invalidate(&hash(2)), Ok(()));
    assert_eq!(tree.invalidate(&hash(3)), Ok(()));
    for (id, parent, at) in [(2, 1, 2), (3, 2, 3), (4, 3, 4)] {
        let refused = tree.insert(header(id, parent, at, 1)).unwrap_err();
        assert_eq!(refused, TreeError::Invalid(hash(id)));
        assert_eq!(refused.verdict(), Verdict::Reject);
    }
    assert_eq!((tree.tip(), tree.tip_height()), (hash(1), height(1)));
}

#[test]
fn the_first_seen_wins_at_equal_work() {
    let mut tree = tree(10);
    for id in 1..4 {
        tree.insert(header(id, ROOT, 1, 5)).unwrap();
        assert_eq!(tree.tip(), hash(1));
    }
    tree.invalidate(&hash(1)).unwrap();
    assert_eq!(tree.tip(), hash(2));
    tree.insert(header(9, ROOT, 1, 6)).unwrap();
    assert_eq!(tree.tip(), hash(9));
}

/// One heavy block beats many light ones.
#[test]
fn work_counts_and_not_height() {
    let mut tree = tree(100);
    grow(&mut tree, ROOT, 0, 1, 20);
    let path = (tree.insert(header(50, ROOT, 1, 21)), tree.tip());
    assert_eq!(path, (Ok(Insertion::Tip), hash(50)));
    assert_eq!(tree.side_len(), 20);
    let back = tree.reorg_path(&hash(20), &hash(50)).unwrap();
    assert_eq!((back.disconnect.len(), back.connect), (20, vec![hash(50)]));
}

#[test]
fn locators_are_dense_then_double() {
    let mut tree = tree(0);
    grow(&mut tree, ROOT, 0, 1, 1_000);
    let locator = tree.locator(&hash(1_000)).unwrap();
    let heights: Vec<_> = locator
        .iter()
        .map(|h| tree.height_of(h).unwrap().get())
        .collect();
    let want = [
        1_000, 999, 998, 997, 996, 995, 994, 993, 992, 991, 989, 985, 977, 961, 929, 865, 737, 481,
        0,
    ];
    assert_eq!(heights, want);
    assert_eq!(tree.locator(&hash(ROOT)), Some(vec![hash(ROOT)]));
    assert_eq!(tree.locator(&hash(5_000)), None);
}

#[test]
fn blocks_are_served_from_the_first_known_of_a_locator() {
    let mut ours = tree(100);
    grow(&mut ours, ROOT, 0, 1, 100);
    let mut theirs = tree(100);
    grow(&mut theirs, ROOT, 0, 1, 70);
    grow(&mut theirs, 70, 70, 500, 25);
    let locator = theirs.locator(&theirs.tip()).unwrap();
    let next = ours.first_after_locator(&locator, 10);
    // 95 is their height; of 95..86, 84, 80, 72, 56, … the first that we share is 56.
    assert_eq!(next, (57..67).map(hash).collect::<Vec<_>>());
    assert_eq!(ours.first_after_locator(&[], 2), [hash(1), hash(2)]);
    assert_eq!(ours.first_after_locator(&[hash(100)], 2), []);
    assert_eq!(ours.first_after_locator(&[hash(99)], 2), [hash(100)]);
    let mut long = vec![hash(7_777); LOCATOR_LEN_MAX];
    long.push(hash(50));
    assert_eq!(ours.first_after_locator(&long, 1), [hash(1)]);
}

/// Side headers of a hostile peer, cheap and many, make room for a branch of more work, never the reverse.
#[test]
fn weak_leaves_make_room() {
    let mut tree = tree(5);
    grow(&mut tree, ROOT, 0, 1, 10);
    for id in 100..105 {
        tree.insert(header(id, ROOT, 1, 1)).unwrap();
    }
    let full = TreeError::Full { max: 5 };
    assert_eq!(tree.insert(header(105, ROOT, 1, 1)), Err(full.clone()));
    assert_eq!(full.verdict(), Verdict::Ignore);
    grow(&mut tree, 9, 9, 200, 1);
    assert_eq!((tree.side_len(), tree.tip()), (5, hash(10)));
    assert!(tree.contains(&hash(200)) && !tree.contains(&hash(104)));
    grow(&mut tree, 200, 10, 201, 1);
    assert_eq!(tree.tip(), hash(201));
}

/// The chain that a reorganisation leaves stays until the next insertion, so that it can be undone.
#[test]
fn a_left_chain_can_be_undone() {
    let mut tree = tree(1);
    grow(&mut tree, ROOT, 0, 1, 10);
    let old = tree.tip();
    tree.insert(header(50, ROOT, 1, 100)).unwrap();
    assert_eq!(
        tree.reorg_path(&old, &tree.tip()).unwrap().disconnect.len(),
        10
    );
    tree.insert(header(51, 50, 2, 1)).unwrap();
    tree.insert(header(52, 50, 2, 1)).unwrap();
    assert_eq!(tree.side_len(), 1);
}

#[test]
fn invalid_hashes_are_bounded() {
    let mut tree = tree(3);
    for id in 1..10 {
        tree.insert(header(id, ROOT, 1, 1)).unwrap();
        tree.invalidate(&hash(id)).unwrap();
    }
    let kept: Vec<_> = (1..10).filter(|&id| tree.is_invalid(&hash(id))).collect();
    assert_eq!(kept, [7, 8, 9]);
}

/// A long chain: slots are reused, and 17 levels of jumps reach everywhere.
#[test]
fn long_chains() {
    let mut tree = tree(200_000);
    grow(&mut tree, ROOT, 0, 1, 100_000);
    grow(&mut tree, 50_000, 50_000, 200_000, 40_000);
    let (main, side) = (tree.tip(), hash(239_999));
    assert_eq!(tree.common_ancestor(&main, &side), Some(hash(50_000)));
    assert_eq!(tree.ancestor(&side, height(50_001)), Some(hash(200_000)));
    tree.prune(height(50_001));
    assert_eq!((tree.side_len(), tree.tip()), (0, main));
    grow(&mut tree, 60_000, 60_000, 300_000, 40_000);
    assert_eq!(tree.nodes.len(), 140_001);
    tree.invalidate(&hash(1)).unwrap();
    assert_eq!((tree.tip(), tree.side_len()), (hash(ROOT), 0));
}

#[test]
fn headers_bring_their_own_work() {
    let spec = crate::ChainSpec::dev();
    let genesis = spec.genesis(crate::StateRoot::of(b"state"));
    let root = TreeHeader::from(&genesis);
    assert_eq!((root.hash, root.height), (genesis.hash(), Height::ZERO));
    assert_eq!(root.parent, BlockHash::ZERO);
    assert_eq!(root.work, spec.initial_bits.target().work());
    assert_eq!(HeaderTree::new(root, 1).root(), genesis.hash());
}
