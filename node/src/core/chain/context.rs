//! What a block's rules ask of the block before it, read from the store.

use lyceum_protocol::{
    BlockHash, ChainSpec, InfoHash, MEDIAN_TIME_BLOCKS, MetainfoBuilder, ParentContext,
    SegmentIndex, median_time,
};
use lyceum_storage::{BlockEntry, LedgerView, StoreError};

/// The context that `parent` gives its children; `None` where it is not kept.
pub(super) fn parent_context(
    view: &LedgerView<'_>,
    spec: &ChainSpec,
    parent: BlockHash,
) -> Result<Option<ParentContext>, StoreError> {
    let Some(entry) = view.block(&parent)? else {
        return Ok(None);
    };
    let mut times = vec![entry.timestamp];
    let mut before = entry.parent;
    while times.len() < MEDIAN_TIME_BLOCKS {
        let Some(entry) = view.block(&before)? else {
            break;
        };
        times.push(entry.timestamp);
        before = entry.parent;
    }
    let time = i64::try_from(entry.timestamp.get()).expect("within 53 bits");
    let segment = match spec.demanded_segment(entry.height.next()) {
        Some(index) => Some(info_hash(view, spec, index, &entry)?),
        None => None,
    };
    Ok(Some(ParentContext {
        hash: parent,
        height: entry.height,
        next_bits: spec.asert().next_bits(time, entry.height.get()),
        median_time: median_time(&times).unwrap_or(entry.timestamp),
        segment,
    }))
}

/// The infohash of segment `index`, whose last block is `last`, on whatever branch.
fn info_hash(
    view: &LedgerView<'_>,
    spec: &ChainSpec,
    index: SegmentIndex,
    last: &BlockEntry,
) -> Result<InfoHash, StoreError> {
    if view.is_main(&last.hash)?
        && let Some(metainfo) = view.metainfo(index)?
    {
        return Ok(metainfo.info_hash());
    }
    let mut hashes = vec![last.hash];
    let mut parent = last.parent;
    while hashes.len() < spec.segment_blocks as usize {
        hashes.push(parent);
        parent = view.block(&parent)?.ok_or(StoreError::NoTip)?.parent;
    }
    let mut builder = MetainfoBuilder::new(&spec.chain, index);
    for hash in hashes.iter().rev() {
        builder.update_line(&view.line(hash)?.ok_or(StoreError::NoTip)?);
    }
    Ok(builder.finish().info_hash())
}
