//! Requests and responses.

use std::collections::HashMap;

use libp2p::PeerId;
use libp2p::request_response::{
    self, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};

use super::codec::{Asked, FrameError};
use super::task::Task;
use super::{NetworkEvent, ReplyId, RequestFailure, RequestId};
use crate::core::wire::{Request, Response};

/// Requests of ours that wait for their answers at once.
const REQUESTS_MAX: usize = 2_048;

/// What has been asked and not answered.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    asked: HashMap<OutboundRequestId, RequestId>,
    /// Bounded by the streams of all connections: each has one.
    open: HashMap<ReplyId, ResponseChannel<Response>>,
    names: HashMap<InboundRequestId, ReplyId>,
    next: u64,
}

impl Exchange {
    fn open(&mut self, id: InboundRequestId, channel: ResponseChannel<Response>) -> ReplyId {
        let reply = ReplyId(self.next);
        self.next += 1;
        self.open.insert(reply, channel);
        self.names.insert(id, reply);
        reply
    }

    fn close(&mut self, id: &InboundRequestId) {
        if let Some(reply) = self.names.remove(id) {
            self.open.remove(&reply);
        }
    }
}

impl Task {
    pub(super) fn request(&mut self, peer: PeerId, id: RequestId, request: Request) {
        let has_room = self.exchange.asked.len() < REQUESTS_MAX;
        if !has_room || !self.peers.is_confirmed(&peer) {
            let result = Err(RequestFailure::Disconnected);
            return self
                .outbox
                .tell(NetworkEvent::Response { peer, id, result });
        }
        self.peers.asked(&peer, &request);
        let asked = self
            .swarm
            .behaviour_mut()
            .sync
            .send_request(&peer, Ok(request));
        self.exchange.asked.insert(asked, id);
    }

    pub(super) fn respond(&mut self, reply: ReplyId, response: Response) {
        if let Some(channel) = self.exchange.open.remove(&reply) {
            // An error says that the asker is gone.
            let _ = self
                .swarm
                .behaviour_mut()
                .sync
                .send_response(channel, response);
        }
    }

    pub(super) fn exchange_event(&mut self, event: request_response::Event<Asked, Response>) {
        match event {
            request_response::Event::Message { peer, message, .. } => self.message(peer, message),
            request_response::Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                self.answered(peer, &request_id, Err(failure(&error)));
            }
            request_response::Event::InboundFailure { request_id, .. } => {
                self.exchange.close(&request_id);
            }
            request_response::Event::ResponseSent { request_id, .. } => {
                self.exchange.close(&request_id);
            }
        }
    }

    fn message(&mut self, peer: PeerId, message: Message<Asked, Response>) {
        match message {
            Message::Request {
                request_id,
                request: Ok(request),
                channel,
            } => {
                self.peers.asked(&peer, &request);
                let reply = self.exchange.open(request_id, channel);
                let event = NetworkEvent::Request {
                    peer,
                    reply,
                    request,
                };
                self.offer(peer, event);
            }
            // No answer: the channel goes.
            Message::Request {
                request: Err(fault),
                ..
            } => self.misbehaved(peer, fault),
            Message::Response {
                request_id,
                response,
            } => self.answered(peer, &request_id, Ok(response)),
        }
    }

    fn answered(
        &mut self,
        peer: PeerId,
        asked: &OutboundRequestId,
        result: Result<Response, RequestFailure>,
    ) {
        if let Some(id) = self.exchange.asked.remove(asked) {
            self.outbox
                .tell(NetworkEvent::Response { peer, id, result });
        }
    }
}

fn failure(error: &OutboundFailure) -> RequestFailure {
    match error {
        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => {
            RequestFailure::Disconnected
        }
        OutboundFailure::Timeout => RequestFailure::Timeout,
        OutboundFailure::Io(error) if FrameError::of(error).is_some() => RequestFailure::Malformed,
        OutboundFailure::UnsupportedProtocols | OutboundFailure::Io(_) => {
            RequestFailure::Unsupported
        }
    }
}
