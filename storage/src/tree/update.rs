use super::page::HEIGHTS;
use super::{KeyChanges, Node, PAGE_SLOTS, Page, PagePath, Pages};
use crate::error::StoreError;

/// How many pages are hashed together: enough to work on several at once, and few enough to stay in the nearest cache.
const FOLDED_TOGETHER: usize = 16;

/// A page that is being changed.
struct Touched<'c> {
    path: PagePath,
    page: Page,
    /// Which one of the pages above it is its parent's.
    parent: usize,
    /// Was it there before?
    is_old: bool,
    /// What becomes of the records below it.
    changes: &'c KeyChanges,
}

/// Applies some changes; the root after them.
///
/// What is below each slot of the top page is done by itself: so little memory is needed at once that it is used again and again.
pub(crate) fn update(pages: &mut impl Pages, changes: &KeyChanges) -> Result<[u8; 32], StoreError> {
    let path = PagePath::TOP;
    let mut top = Touched {
        path,
        page: pages.take(&path)?,
        parent: 0,
        is_old: true,
        changes,
    };
    let mut below = Vec::with_capacity(PAGE_SLOTS);
    top.open(pages, 0, &mut below)?;
    for touched in below {
        update_below(pages, touched, &mut top.page)?;
    }
    fold(std::slice::from_mut(&mut top));
    let root = top.page.top().hash();
    pages.store(path, top.page.is_used().then_some(top.page));
    Ok(root)
}

/// Applies the changes of a page and of all below it, and that to its slot in the page above.
///
/// Pages are opened from the top down and hashed from the bottom up, those of one depth together: no hash of a depth is of another, so the
/// processor works on several at once, as it fetches several pages from memory.
fn update_below(
    pages: &mut impl Pages,
    touched: Touched<'_>,
    above: &mut Page,
) -> Result<(), StoreError> {
    let mut depths = vec![vec![touched]];
    while let Some(deepest) = depths.last_mut() {
        let mut below = Vec::with_capacity(2 * deepest.len());
        for (index, touched) in deepest.iter_mut().enumerate() {
            touched.open(pages, index, &mut below)?;
        }
        if below.is_empty() {
            break;
        }
        depths.push(below);
    }
    while let Some(mut deepest) = depths.pop() {
        fold(&mut deepest);
        for touched in deepest {
            let parent = depths
                .last_mut()
                .map(|parents| &mut parents[touched.parent].page);
            touched.close(pages, parent.unwrap_or(&mut *above));
        }
    }
    Ok(())
}

/// Hashes what changed of some pages of one depth.
fn fold(touched: &mut [Touched<'_>]) {
    for some in touched.chunks_mut(FOLDED_TOGETHER) {
        for height in HEIGHTS {
            for touched in &mut *some {
                touched.page.fold_at(height);
            }
        }
    }
}

impl<'c> Touched<'c> {
    /// Changes the slots that hold one record at the most, before and after; of the others, opens the pages below.
    fn open(
        &mut self,
        pages: &mut impl Pages,
        index: usize,
        below: &mut Vec<Touched<'c>>,
    ) -> Result<(), StoreError> {
        let path = self.path;
        for changes in self
            .changes
            .chunk_by(|(a, _), (b, _)| path.slot(a) == path.slot(b))
        {
            let slot = path.slot(&changes[0].0);
            let node = self.page.slot(slot);
            let is_old = matches!(node, Node::Inner(_));
            if !is_old && let Some(after) = lone_after(node, changes) {
                self.page.set(slot, &after);
                continue;
            }
            let path = path.child(slot);
            let mut page = match is_old {
                true => pages.take(&path)?,
                false => Page::empty(),
            };
            if let Node::Leaf { key, .. } = node {
                page.set(path.slot(&key), &node);
            }
            below.push(Touched {
                path,
                page,
                parent: index,
                is_old,
                changes,
            });
        }
        Ok(())
    }

    /// Puts what the folded page comes to into its slot, and keeps it if it has to be.
    fn close(self, pages: &mut impl Pages, parent: &mut Page) {
        let folded = self.page.top();
        parent.set(self.path.own_slot(), &folded);
        let is_kept = matches!(folded, Node::Inner(_));
        // A page that was not there before and is not needed now was never written.
        if is_kept || self.is_old {
            pages.store(self.path, is_kept.then_some(self.page));
        }
    }
}

/// What one change makes of a subtree of at most one record, where that leaves at most one.
fn lone_after(node: Node, changes: &KeyChanges) -> Option<Node> {
    let &[(key, change)] = changes else {
        return None;
    };
    match node {
        Node::Leaf { key: own, .. } if own != key && change.is_some() => None,
        Node::Leaf { key: own, .. } if own != key => Some(node),
        _ => Some(change.map_or(Node::Empty, |value| Node::Leaf { key, value })),
    }
}
