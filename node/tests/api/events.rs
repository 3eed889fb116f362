//! Server-sent events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use lyceum_node::core::Phase;
use lyceum_node::handle::{HAPPENINGS_LEN, Happening};
use lyceum_protocol::{SegmentIndex, TxId};
use serde_json::{Value, json};

use crate::world::World;

/// A listener.
struct Listener(BufReader<TcpStream>);

impl Listener {
    fn new(world: &World) -> Self {
        let mut stream = TcpStream::connect(world.address).unwrap();
        let ask = "GET /api/v1/events HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n";
        stream.write_all(ask.as_bytes()).unwrap();
        let mut listener = Self(BufReader::new(stream));
        let mut head = String::new();
        while listener.0.read_line(&mut head).unwrap() > 2 {}
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        listener
    }

    /// The next event's name and data; `None` at the end.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(text) = line.strip_prefix("event: ") {
                name = text.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((name, serde_json::from_str(data).unwrap()));
            }
        }
    }
}

#[test]
fn a_listener_is_told_what_happens_from_where_the_node_stands() {
    let world = World::new();
    let mut listener = Listener::new(&world);
    let (name, tip) = listener.next().unwrap();
    assert_eq!((name.as_str(), &tip["height"]), ("tip", &json!(10)));
    world.mine();
    let (name, tip) = listener.next().unwrap();
    let hash = world.node.standing.borrow().tip.to_string();
    assert_eq!(name, "tip");
    assert_eq!(
        (&tip["height"], &tip["hash"], &tip["source"]),
        (&json!(11), &json!(hash), &json!("mined"))
    );
    let id = TxId::of(b"x");
    for (happening, want_name, want) in [
        (
            Happening::Pending(id),
            "pending",
            json!({ "id": id.to_string() }),
        ),
        (
            Happening::Dropped {
                id,
                reason: "replaced",
            },
            "dropped",
            json!({ "id": id.to_string(), "reason": "replaced" }),
        ),
        (
            Happening::Sealed(SegmentIndex::new(3).unwrap()),
            "sealed",
            json!({ "segment": 3 }),
        ),
        (
            Happening::Phase(Phase::Segments),
            "phase",
            json!({ "phase": "segments" }),
        ),
    ] {
        world.node.happenings.send(happening).unwrap();
        assert_eq!(listener.next(), Some((want_name.to_owned(), want)));
    }
}

#[test]
fn a_slow_listener_is_told_what_it_missed() {
    let world = World::new();
    let mut slow = Listener::new(&world);
    assert_eq!(slow.next().unwrap().0, "tip");
    // Far more than the channel, the stream and the kernel hold.
    let sent = 200_000 + HAPPENINGS_LEN as u64;
    for i in 0..sent {
        let index = SegmentIndex::new(i).unwrap();
        world
            .node
            .happenings
            .send(Happening::Sealed(index))
            .unwrap();
    }
    let (mut seen, mut missed) = (0, 0);
    while seen + missed < sent {
        match slow.next().unwrap() {
            (name, data) if name == "lagged" => missed += data["missed"].as_u64().unwrap(),
            (name, data) => {
                assert_eq!(name, "sealed");
                assert_eq!(
                    data["segment"],
                    seen + missed,
                    "none is left out in silence"
                );
                seen += 1;
            }
        }
    }
    assert!(
        missed > 0 && seen >= HAPPENINGS_LEN as u64,
        "{seen} seen, {missed} missed"
    );
}

#[test]
fn listeners_are_counted_and_bounded_and_end_with_the_server() {
    let mut world = World::new();
    // The bound on one client's connections comes first; the listeners' own is for many clients.
    let mut listeners: Vec<_> = (0..20).map(|_| Listener::new(&world)).collect();
    let served = world.get("/metrics");
    assert!(
        served.text().contains("lyceum_http_event_streams 20\n"),
        "{}",
        served.text()
    );
    drop(listeners.split_off(1));
    let server = world.server.take().unwrap();
    world.shutdown.cancel();
    assert_eq!(
        listeners[0].next().map(|(name, _)| name).as_deref(),
        Some("tip")
    );
    assert_eq!(listeners[0].next(), None, "the stream ends");
    world.runtime.block_on(server.task).unwrap();
}
