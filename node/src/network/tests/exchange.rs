//! Requests and responses.

use super::node::Node;
use super::stranger::{Answer, Stranger, framed};
use crate::core::wire::{REQUEST_BYTES_MAX, Request, Response, Wire as _};
use crate::network::{NetworkCommand, NetworkEvent, RequestFailure, RequestId};
use libp2p::PeerId;

async fn ask(node: &Node, peer: PeerId, id: u64, request: Request) {
    let id = RequestId(id);
    node.command(NetworkCommand::Request { peer, id, request })
        .await;
}

async fn answer(node: &mut Node, peer: PeerId, wanted: u64) -> Result<Response, RequestFailure> {
    node.until("the response", |event| match event {
        NetworkEvent::Response {
            peer: from,
            id,
            result,
        } if id.0 == wanted => {
            assert_eq!(*from, peer);
            Some(result.clone())
        }
        _ => None,
    })
    .await
}

/// Takes the next request, and answers it.
async fn serve(node: &mut Node, from: PeerId, response: Response) -> Request {
    let event = node.take("a request", |event| {
        matches!(event, NetworkEvent::Request { .. })
    });
    let NetworkEvent::Request {
        peer,
        reply,
        request,
    } = event.await
    else {
        unreachable!("it is a request");
    };
    assert_eq!(peer, from);
    node.command(NetworkCommand::Respond { reply, response })
        .await;
    request
}

#[tokio::test]
async fn both_sides_ask_and_answer() {
    let mut one = Node::start(|_| {}).await;
    let mut two = Node::start(|_| {}).await;
    two.command(NetworkCommand::Dial(one.addresses()[0].clone()))
        .await;
    one.connected(two.id()).await;
    two.connected(one.id()).await;
    let (one_id, two_id) = (one.id(), two.id());
    // One block of several megabytes, as a response may be.
    let large = Response::Blocks(vec!["x".repeat(4 << 20)]);
    ask(&one, two_id, 1, Request::BlocksByHash(vec![[1; 32]])).await;
    let request = serve(&mut two, one_id, large.clone()).await;
    assert_eq!(request, Request::BlocksByHash(vec![[1; 32]]));
    assert_eq!(answer(&mut one, two_id, 1).await, Ok(large));
    ask(&two, one_id, 1, Request::Activate(7)).await;
    serve(&mut one, two_id, Response::Segments(vec![])).await;
    assert_eq!(
        answer(&mut two, one_id, 1).await,
        Ok(Response::Segments(vec![]))
    );
    // The peer goes before it has answered; then it is gone.
    ask(&one, two_id, 2, Request::Activate(8)).await;
    two.take("a request", |event| {
        matches!(event, NetworkEvent::Request { .. })
    })
    .await;
    two.stop().await;
    assert_eq!(
        answer(&mut one, two_id, 2).await,
        Err(RequestFailure::Disconnected)
    );
    one.disconnected(two_id).await;
    ask(&one, two_id, 3, Request::Activate(9)).await;
    assert_eq!(
        answer(&mut one, two_id, 3).await,
        Err(RequestFailure::Disconnected)
    );
}

#[tokio::test]
async fn who_does_not_answer_has_failed() {
    let mut one =
        Node::start(|config| config.timing.request = std::time::Duration::from_millis(200)).await;
    let silent = Stranger::start("dev", Answer::Silence, &one.addresses()[0]).await;
    one.connected(silent.id).await;
    ask(&one, silent.id, 1, Request::Activate(7)).await;
    assert_eq!(
        answer(&mut one, silent.id, 1).await,
        Err(RequestFailure::Timeout)
    );
    // It is still a peer, and its own fault-free requests are told of.
    silent.send(framed(&Request::Activate(8).encode())).await;
    serve(&mut one, silent.id, Response::Segments(vec![])).await;
}

#[tokio::test]
async fn frames_that_are_no_requests_are_faults() {
    let mut one = Node::start(|_| {}).await;
    let good = Request::Activate(7).encode();
    let oversized = u32::try_from(REQUEST_BYTES_MAX + 1)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    let faults = [
        (framed(b""), "malformed_frame"),
        (framed(b"\x02"), "malformed_frame"),
        (framed(&good[..good.len() - 1]), "malformed_frame"),
        (framed(&[&good[..], b"more"].concat()), "malformed_frame"),
        (oversized, "oversized_frame"),
        (vec![0xff; 64], "oversized_frame"),
    ];
    for (frame, reason) in faults {
        let liar = Stranger::start("dev", Answer::Silence, &one.addresses()[0]).await;
        one.connected(liar.id).await;
        liar.send(frame).await;
        assert_eq!(one.misbehaved(liar.id).await, reason);
    }
    // A frame that ends too soon is nobody's fault: the next is read.
    let clumsy = Stranger::start("dev", Answer::Silence, &one.addresses()[0]).await;
    one.connected(clumsy.id).await;
    clumsy.send(framed(&good)[..6].to_vec()).await;
    clumsy.send(framed(&good)).await;
    serve(&mut one, clumsy.id, Response::Segments(vec![])).await;
    assert!(!one.was_told(|event| matches!(event, NetworkEvent::Misbehaved { .. })));
}

#[tokio::test]
async fn answers_that_are_no_responses_are_told_of() {
    let mut one = Node::start(|_| {}).await;
    let answers = [
        (
            Answer::Bytes(framed(b"\x01\xff")),
            RequestFailure::Malformed,
        ),
        (Answer::Bytes(vec![0xff; 4]), RequestFailure::Malformed),
        (Answer::Bytes(vec![]), RequestFailure::Unsupported),
        (
            Answer::Bytes(vec![0, 0, 1, 0, 1]),
            RequestFailure::Unsupported,
        ),
    ];
    for (id, (bytes, failure)) in (0..).zip(answers) {
        let liar = Stranger::start("dev", bytes, &one.addresses()[0]).await;
        one.connected(liar.id).await;
        ask(&one, liar.id, id, Request::Activate(7)).await;
        assert_eq!(answer(&mut one, liar.id, id).await, Err(failure));
    }
}
