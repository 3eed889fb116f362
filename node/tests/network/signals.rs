//! Ctrl-C: the first stops the node cleanly, the second at once.

use std::io::Write as _;
use std::net::TcpStream;

use crate::child::*;
use crate::spec::spec;

/// A request whose body does not come: a clean stop waits for it for some seconds.
fn endless_request(http: &str) -> TcpStream {
    let mut stream = TcpStream::connect(http).unwrap();
    let head = "POST /api/v1/txs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/jwt\r\ncontent-length: 9\r\n\r\nabc";
    stream.write_all(head.as_bytes()).unwrap();
    // It is at work, not in the queue: another request that came later is answered.
    let mut status = ureq::get(format!("http://{http}/healthz")).call().unwrap();
    assert!(status.body_mut().read_to_string().unwrap().contains("true"));
    stream
}

#[test]
fn the_first_stops_it_cleanly() {
    let folder = folder_of(&spec(|_| {}));
    let node = NodeProcess::start(folder.path(), &["--mine", "--mine-rate", "4000"]);
    node.wait_for_height(2);
    node.signal("INT");
    node.wait_for("node stopped");
    assert_eq!(node.ended().code(), Some(0));
    // A ledger that was not closed is verified on opening; this one says that it was.
    let data = text(folder.path().join("data"));
    good(&["chain", "verify", "--data-dir", &data]);
}

#[test]
fn the_second_ends_it_at_once() {
    for second in ["INT", "TERM"] {
        let folder = folder_of(&spec(|_| {}));
        let node = NodeProcess::start(folder.path(), &[]);
        let _request = endless_request(&node.http);
        node.signal("INT");
        node.wait_for("stopping; a second Ctrl-C exits at once");
        node.signal(second);
        assert_eq!(node.ended().code(), Some(130));
    }
}

#[test]
fn a_clean_stop_does_not_wait_for_ever() {
    let folder = folder_of(&spec(|_| {}));
    let node = NodeProcess::start(folder.path(), &[]);
    let _request = endless_request(&node.http);
    node.signal("TERM");
    node.wait_for("what comes in was not closed in time");
    node.wait_for("node stopped");
    assert_eq!(node.ended().code(), Some(0));
}
