//! The BitTorrent side of the nodes: a pull ends after a while with what its holder has.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use lyceum_node::core::{Action, Event, PartError};
use lyceum_protocol::{SegmentIndex, segment_heights};

use super::{Net, Node, due, torrent_address};

/// Three lines of a segment of four, then the rest.
fn part_at(text: &[u8], offset: u64) -> Vec<u8> {
    let rest = &text[usize::try_from(offset).unwrap()..];
    rest.split_inclusive(|byte| *byte == b'\n')
        .take(3)
        .flatten()
        .copied()
        .collect()
}

impl Net {
    pub(super) fn torrent(&mut self, i: usize, action: Action) {
        match action {
            Action::Register { index, file, .. } => {
                self.nodes[i].seeds.insert(index, file);
            }
            Action::Unregister(index) => {
                self.nodes[i].seeds.remove(&index);
            }
            Action::Activate(index) => {
                let is_seeded = self.nodes[i].seeds.contains_key(&index);
                self.push(i, 1, due(Event::Activated { index, is_seeded }));
            }
            Action::Fetch {
                index,
                holders,
                metainfo,
            } => {
                let event = match self.torrents_fail {
                    Some(failure) => Event::FetchFailed {
                        index,
                        failure,
                        culprits: holders,
                    },
                    None => {
                        let from = holders[0];
                        let text = self.segment_text(from, index);
                        assert_eq!(text.len() as u64, metainfo.length());
                        self.node_at(from).uploaded += metainfo.length();
                        let file = PathBuf::from(format!("{index}-{}", metainfo.info_hash()));
                        let file = self.keep_file(i, file, text);
                        let from = vec![from];
                        Event::Fetched { index, file, from }
                    }
                };
                self.push(i, 200, due(event));
            }
            Action::ReadSegment {
                index,
                file,
                offset,
            } => {
                let text = self.nodes[i].files.get(&file).cloned();
                let text = text.or_else(|| fs::read(&file).ok());
                let text = text.ok_or(PartError::Unreadable);
                let checker = self.nodes[i].core.chain().run_checker();
                let part = text.and_then(|text| checker.check_part(part_at(&text, offset)));
                let event = Event::SegmentPart {
                    index,
                    offset,
                    part,
                };
                self.push(i, 1, due(event));
            }
            Action::DeleteFetched(file) => {
                if self.nodes[i].files.remove(&file).is_none() {
                    fs::remove_file(&file).unwrap();
                }
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// Keeps a pulled segment; gives where.
    fn keep_file(&mut self, i: usize, name: PathBuf, text: Vec<u8>) -> PathBuf {
        let node = &mut self.nodes[i];
        match &node.disk {
            Some(folder) => {
                let file = folder.join(name);
                fs::write(&file, text).unwrap();
                file
            }
            None => {
                node.files.insert(name.clone(), text);
                name
            }
        }
    }

    fn node_at(&mut self, torrent: SocketAddr) -> &mut Node {
        let mut nodes = (0..).zip(&mut self.nodes);
        let (_, node) = nodes.find(|(i, _)| torrent_address(*i) == torrent).unwrap();
        node
    }

    /// The text that the node at a BitTorrent address serves.
    fn segment_text(&self, holder: SocketAddr, index: SegmentIndex) -> Vec<u8> {
        let mut nodes = (0..).zip(&self.nodes);
        let (_, node) = nodes.find(|(i, _)| torrent_address(*i) == holder).unwrap();
        let place = node.core.chain().segment_file(index);
        match (&node.seeds[&index], &place) {
            (Some(file), None) => node.files[file].clone(),
            (Some(file), Some(_)) | (None, Some(file)) => fs::read(file).unwrap(),
            (None, None) => {
                let view = node.core.chain().store().read();
                let heights = segment_heights(&self.spec, index);
                let lines = heights.map(|height| view.line_at(height).unwrap().unwrap() + "\n");
                lines.collect::<String>().into_bytes()
            }
        }
    }
}
