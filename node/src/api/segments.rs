//! Sealed segments: what there is, as torrents and as magnet links.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use lyceum_protocol::{ChainSpec, SegmentIndex, segment_heights};
use lyceum_storage::SegmentEntry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::context::Api;
use super::paging::{Page, page_len};
use super::problem::{Problem, Refusals};
use crate::handle::NodeHandle;

/// Addresses of ours in one magnet link.
const MAGNET_PEERS_MAX: usize = 4;

/// A sealed segment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Segment {
    index: u64,
    /// The file's name.
    name: String,
    /// BitTorrent v1.
    infohash: String,
    /// Bytes.
    length: u64,
    pieces: usize,
    first_height: u64,
    last_height: u64,
    /// Its file is damaged or gone, and has to be fetched again.
    missing: bool,
    magnet: String,
}

impl Segment {
    fn new(entry: &SegmentEntry, spec: &ChainSpec, peers: &[SocketAddr]) -> Self {
        let torrent = &entry.metainfo;
        let mut heights = segment_heights(spec, entry.index);
        let first = heights.next().map_or(0, |height| height.get());
        Self {
            index: entry.index.get(),
            name: torrent.name().to_owned(),
            infohash: torrent.info_hash().to_string(),
            length: torrent.length(),
            pieces: torrent.pieces().len() / 20,
            first_height: first,
            last_height: heights.last().map_or(first, |height| height.get()),
            missing: entry.is_missing,
            magnet: torrent.magnet(&spec.trackers, peers),
        }
    }
}

/// Where BitTorrent clients reach us, as far as we know.
fn addresses(node: &NodeHandle) -> Vec<SocketAddr> {
    let Some(listen) = node.torrents.borrow().listen else {
        return Vec::new();
    };
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    // We listen on all: the network knows what they are.
    let network = node.network.borrow();
    let ips: BTreeSet<IpAddr> = network.listen.iter().filter_map(ip).collect();
    let ips = ips.into_iter().filter(|ip| !ip.is_unspecified());
    let addresses = ips.map(|ip| SocketAddr::new(ip, listen.port()));
    addresses.take(MAGNET_PEERS_MAX).collect()
}

/// The first part of a multiaddress; of a relayed one it would be the relay's.
fn ip(address: &Multiaddr) -> Option<IpAddr> {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Which segments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentRange {
    /// The `next` of the page before; from the start without it.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    after: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<usize>,
}

#[utoipa::path(get, path = "/api/v1/segments", tag = "segments", params(SegmentRange),
    responses((status = 200, body = Page<Segment>, description = "Sealed segments, in order"), Refusals))]
pub(super) async fn segments(
    api: Api,
    Query(range): Query<SegmentRange>,
) -> Result<Json<Page<Segment>>, Problem> {
    let limit = page_len(range.limit)?;
    let first = range.after.map_or(0, |after| after.saturating_add(1));
    SegmentIndex::new(range.after.unwrap_or(0)).map_err(|error| Problem::bad("segment", error))?;
    let entries = api.read(move |view| {
        let sealed = view.sealed_segments()?.get();
        let last = sealed.min(first.saturating_add(limit as u64 + 1));
        let indexes = (first..last).map_while(|index| SegmentIndex::new(index).ok());
        let entries = indexes.filter_map(|index| view.segment(index).transpose());
        Ok(entries.collect::<Result<Vec<_>, _>>()?)
    });
    let (entries, peers) = (entries.await?, addresses(&api.node));
    let segments = entries
        .iter()
        .map(|entry| Segment::new(entry, &api.node.spec, &peers));
    let page = Page::cut(segments.collect(), limit, |segment| {
        segment.index.to_string()
    });
    Ok(Json(page))
}

/// A sealed segment of this number.
async fn find(api: &Api, index: &str) -> Result<SegmentEntry, Problem> {
    let number = index.parse().ok().filter(|_| !index.starts_with('+'));
    let number = number.and_then(|number: u64| SegmentIndex::new(number).ok());
    let number = number
        .ok_or_else(|| Problem::bad("segment", format!("{index:?} is no number of a segment")))?;
    let entry = api.read(move |view| Ok(view.segment(number)?)).await?;
    entry.ok_or_else(|| {
        Problem::unknown("unknown_segment", format!("segment {number} is not sealed"))
    })
}

/// The two things at one place of a path: the router can't tell `{k}` from `{k}.torrent`.
pub(super) async fn segment_or_torrent(
    api: Api,
    Path(k): Path<String>,
) -> Result<Response, Problem> {
    match k.strip_suffix(".torrent") {
        Some(k) => torrent(&api, k).await,
        None => segment(&api, &k).await,
    }
}

#[utoipa::path(get, path = "/api/v1/segments/{k}", tag = "segments",
    params(("k" = String, Path, description = "A segment's number", pattern = "^[0-9]{1,15}$")),
    responses((status = 200, body = Segment), Refusals))]
async fn segment(api: &Api, k: &str) -> Result<Response, Problem> {
    let entry = find(api, k).await?;
    let segment = Segment::new(&entry, &api.node.spec, &addresses(&api.node));
    Ok(Json(segment).into_response())
}

#[utoipa::path(get, path = "/api/v1/segments/{k}.torrent", tag = "segments",
    params(("k" = String, Path, description = "A segment's number", pattern = "^[0-9]{1,15}$")),
    responses((status = 200, content_type = "application/x-bittorrent", body = Vec<u8>, description = "The torrent file, with the chain's trackers"), Refusals))]
async fn torrent(api: &Api, k: &str) -> Result<Response, Problem> {
    let entry = find(api, k).await?;
    let name = entry.metainfo.name();
    let headers = [
        (header::CONTENT_TYPE, "application/x-bittorrent".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.torrent\""),
        ),
    ];
    let torrent = entry.metainfo.to_torrent(&api.node.spec.trackers);
    Ok((headers, torrent).into_response())
}

#[utoipa::path(get, path = "/api/v1/segments/{k}/magnet", tag = "segments",
    params(("k" = String, Path, description = "A segment's number", pattern = "^[0-9]{1,15}$")),
    responses((status = 200, content_type = "text/plain", body = String, description = "The magnet link, with the chain's trackers and this node's address"), Refusals))]
pub(super) async fn magnet(api: Api, Path(k): Path<String>) -> Result<String, Problem> {
    let entry = find(&api, &k).await?;
    let peers = addresses(&api.node);
    Ok(entry.metainfo.magnet(&api.node.spec.trackers, &peers))
}

/// The documents of what [`segment_or_torrent`] serves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(segment, torrent))]
pub(super) struct SegmentPaths;
