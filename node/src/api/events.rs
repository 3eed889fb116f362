//! What happens, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::context::Api;
use super::problem::{Problem, Refusals};
use crate::handle::{Happening, Standing};

/// A comment this often keeps proxies from closing an idle stream: they do after 30 to 60 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[utoipa::path(get, path = "/api/v1/events", tag = "node", responses(
    (status = 200, content_type = "text/event-stream", body = String, description = "\
`tip` first as the node stands, then each change: `height`, `hash`, `state_root`, `blocks`, `transactions`, `disconnected`, `source`; \
`pending` and `dropped`: `id`, `reason`; `sealed`: `segment`; `phase`: `phase`; `lagged`: `missed`, where the client was too slow"),
    Refusals
))]
pub(super) async fn events(
    api: Api,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let turn = api.event_streams.clone().try_acquire_owned();
    let turn = turn.map_err(|_| Problem::busy("listeners", "too many listeners to events"))?;
    // Subscribe before looking: nothing is missed between.
    let happenings = api.node.happenings.subscribe();
    let first = event("tip", &standing(&api.node.standing.borrow()));
    let counted = api.metrics.listening();
    let state = (happenings, api.shutdown.clone(), turn, counted);
    let later = stream::unfold(state, |mut state| async move {
        let happening = tokio::select! {
            biased;
            () = state.1.cancelled() => return None,
            happening = state.0.recv() => happening,
        };
        let event = match happening {
            Ok(happening) => describe(&happening),
            Err(RecvError::Lagged(missed)) => event("lagged", &json!({ "missed": missed })),
            Err(RecvError::Closed) => return None,
        };
        Some((event, state))
    });
    let events = stream::iter([first]).chain(later).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(name: &str, data: &Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

fn standing(standing: &Standing) -> Value {
    json!({
        "height": standing.height.get(),
        "hash": standing.tip.to_string(),
        "state_root": standing.state_root.to_string(),
        "blocks": 0,
        "transactions": 0,
        "disconnected": 0,
        "source": null,
    })
}

fn describe(happening: &Happening) -> Event {
    match happening {
        Happening::Tip {
            height,
            hash,
            state_root,
            blocks,
            transactions,
            disconnected,
            source,
        } => {
            let data = json!({
                "height": height.get(),
                "hash": hash.to_string(),
                "state_root": state_root.to_string(),
                "blocks": blocks,
                "transactions": transactions,
                "disconnected": disconnected,
                "source": source.name(),
            });
            event("tip", &data)
        }
        Happening::Pending(id) => event("pending", &json!({ "id": id.to_string() })),
        Happening::Dropped { id, reason } => {
            let data = json!({ "id": id.to_string(), "reason": reason });
            event("dropped", &data)
        }
        Happening::Sealed(index) => event("sealed", &json!({ "segment": index.get() })),
        Happening::Phase(phase) => event("phase", &json!({ "phase": phase.name() })),
    }
}
