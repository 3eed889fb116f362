use super::page::HEIGHTS;
use super::{KeyChanges, Node, Page, PagePath, Pages};
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
/// Pages are opened from the top down and hashed from the bottom up, those of one depth together: no hash of a depth is of another, so the
/// processor works on several at once, as it fetches several pages from memory.
pub(crate) fn update(pages: &mut impl Pages, changes: &KeyChanges) -> Result<[u8; 32], StoreError> {
    let mut depths = vec![vec![Touched {
        path: PagePath::TOP,
        page: pages.take(&PagePath::TOP)?,
        parent: 0,
        is_old: true,
        changes,
    }]];
    while let Some(deepest) = depths.last_mut() {
        let mut below = Vec::with_capacity(deepest.len());
        for (index, touched) in deepest.iter_mut().enumerate() {
            touched.open(pages, index, &mut below)?;
        }
        if below.is_empty() {
            break;
        }
        depths.push(below);
    }
    let mut root = Node::Empty;
    while let Some(mut deepest) = depths.pop() {
        for some in deepest.chunks_mut(FOLDED_TOGETHER) {
            for height in HEIGHTS {
                some.iter_mut()
                    .for_each(|touched| touched.page.fold_at(height));
            }
        }
        for touched in deepest {
            root = touched.page.top();
            let is_kept = match depths.last_mut() {
                Some(above) => {
                    let parent = &mut above[touched.parent];
                    let slot = parent.path.slot(&touched.changes[0].0);
                    parent.page.set(slot, &root);
                    matches!(root, Node::Inner(_))
                }
                None => touched.page.is_used(),
            };
            // A page that was not there before and is not needed now was never written.
            if is_kept || touched.is_old {
                pages.store(touched.path, is_kept.then_some(touched.page));
            }
        }
    }
    Ok(root.hash())
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
