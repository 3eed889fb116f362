//! A holder that vouches for the chain's true segments, and serves other bytes over BitTorrent.

use std::sync::Arc;

use lyceum_node::core::wire::{Boundary, Refusal, Request, Response, Status};
use lyceum_protocol::{BlockLine, Height, SegmentIndex, segment_heights};

use crate::child::eventually;
use crate::fake::Fake;
use crate::forge;
use crate::inside::{Inside, miner, runtime};
use crate::liar::{Forger, Hoard, Liar, Lie};
use crate::spec::late_spec;

impl Hoard {
    /// All that an honest node has sealed, with one byte of each segment changed.
    async fn of(honest: &Inside) -> Self {
        let (view, spec) = (honest.node.handle().reader.read(), &honest.spec);
        let tip = view.tip().unwrap().unwrap();
        let sealed = view.sealed_segments().unwrap().get();
        let line_at = |height: Height| view.line_at(height).unwrap().unwrap();
        let (mut boundaries, mut torrents) = (Vec::new(), Vec::new());
        for number in 0..sealed {
            let index = SegmentIndex::new(number).unwrap();
            let metainfo = view.metainfo(index).unwrap().unwrap();
            let lines = segment_heights(spec, index).map(|height| line_at(height) + "\n");
            let mut content = lines.collect::<String>().into_bytes();
            content[9] ^= 1;
            let chunks = usize::MAX;
            torrents.push(Fake { content, chunks }.serve(&metainfo).await);
            let end = (number + 1) * u64::from(spec.segment_blocks);
            let line = line_at(Height::new(end).unwrap());
            boundaries.push(Boundary {
                index: number,
                token: BlockLine::new(&line).token().to_owned(),
                length: metainfo.length(),
                pieces: metainfo.pieces().to_vec(),
            });
        }
        let status = Status {
            genesis: *forge::hash(&line_at(Height::ZERO)).as_bytes(),
            tip: *tip.hash.as_bytes(),
            height: tip.height.get(),
            work: tip.work.get().to_be_bytes(),
            segments: sealed,
            missing: Vec::new(),
            // None of those where the bytes come from: it must be found out all the same.
            torrent: Some("127.0.0.1:1".parse().unwrap()),
        };
        Self {
            status,
            boundaries,
            torrents,
        }
    }

    fn answer(&self, request: &Request) -> Option<Response> {
        Some(match request {
            Request::Status(_) => Response::Status(self.status.clone()),
            Request::Segments { from, limit } => {
                let from = self.boundaries.iter().skip(*from as usize);
                Response::Segments(from.take(*limit as usize).cloned().collect())
            }
            Request::Activate(index) => {
                let (boundary, torrent) = self
                    .boundaries
                    .iter()
                    .zip(&self.torrents)
                    .nth(*index as usize)?;
                Response::Activated {
                    length: boundary.length,
                    pieces: boundary.pieces.clone(),
                    torrent: *torrent,
                }
            }
            // Nobody is to get the chain from it.
            _ => Response::Refused(Refusal::Failed),
        })
    }
}

fn serve_wrong_bytes(forger: &mut Forger, request: &Request) -> Option<Response> {
    forger.hoard.as_ref()?.answer(request)
}

#[test]
fn who_serves_wrong_bytes_is_banned_and_others_serve_the_right_ones() {
    let runtime = runtime();
    let spec = Arc::new(late_spec(|_| {}));
    let old = Inside::start(&runtime, &spec, Vec::new(), miner(1, 100_000));
    eventually("a chain grows", || (old.height() >= 100).then_some(()));
    // It mines no more, so that what is sealed stands still.
    let old = old.restart(&runtime, Vec::new(), None);
    let joiner = Inside::start(&runtime, &spec, Vec::new(), None);
    let lie = Lie::Answer(serve_wrong_bytes);
    let mut liar = Liar::start(&runtime, &spec, &joiner, lie);
    let hoard = runtime.block_on(Hoard::of(&old));
    let sealed = hoard.boundaries.len() as u64;
    assert!(sealed >= 10);
    liar.forger.hoard = Some(hoard);
    let reason = eventually("the liar is banned", || {
        liar.act();
        joiner.bans().get(&liar.name()).cloned()
    });
    assert_eq!((reason.as_str(), joiner.height()), ("wrong_bytes", 0));
    let failures = joiner.metric("lyceum_segment_fetch_failures_total{reason=\"wrong_bytes\"}");
    assert!(failures >= Some(1.0), "{failures:?}");

    let old = old.restart(&runtime, vec![joiner.address()], None);
    let tip = old.standing().tip;
    eventually("the joiner has the chain", || {
        liar.act();
        (joiner.standing().tip == tip).then_some(())
    });
    assert_eq!(joiner.standing().state_root, old.standing().state_root);
    let want = (sealed * u64::from(spec.segment_blocks) - 1) as f64;
    let torrent = joiner.imported("torrent");
    assert!(torrent > 0.95 * want, "{torrent} of {want} by torrent");
    assert_eq!(joiner.bans().len(), 1);
    assert!(old.bans().is_empty());
    liar.stop(&runtime);
    joiner.stop(&runtime);
    old.stop(&runtime);
}
