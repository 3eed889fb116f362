//! Transactions: in the chain, pending, and coming in.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_protocol::{BlockLine, InclusionProof, TxId};
use lyceum_storage::{LedgerView, TxLocation};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::blocks::claims;
use super::context::{Api, raw};
use super::paging::{Page, Paging};
use super::problem::{Problem, Refusals};
use crate::handle::NodeCommand;

/// White space around a submitted token, as an editor or `echo` leaves it: more than that is a mistake.
pub(super) const TOKEN_SPACE_MAX: usize = 16;

/// A transaction.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Transaction {
    /// SHA-256 of the token.
    id: String,
    /// The transaction's JWT.
    token: String,
    /// What the token says.
    #[schema(value_type = Object)]
    claims: Box<RawValue>,
    /// Null while pending.
    block: Option<Place>,
    /// What became of it: `ok`, `error`, `gas`, `steps`, `events`; null while pending.
    #[schema(value_type = Option<Object>)]
    receipt: Option<Box<RawValue>>,
}

/// Where a transaction stands on the main chain.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Place {
    hash: String,
    height: u64,
    /// Its place in the block, from 0.
    index: u32,
    /// The block and those on top of it.
    confirmations: u64,
}

impl Transaction {
    fn pending(token: &str) -> Result<Self, Problem> {
        Ok(Self {
            id: TxId::of(token.as_bytes()).to_string(),
            token: token.to_owned(),
            claims: claims(token)?,
            block: None,
            receipt: None,
        })
    }
}

/// A transaction in the chain, if it is there, and its block's line.
fn find(view: &LedgerView<'_>, id: TxId) -> Result<Option<(TxLocation, String)>, Problem> {
    let Some(at) = view.transaction(&id)? else {
        return Ok(None);
    };
    Ok(view.line_at(at.height)?.map(|line| (at, line)))
}

fn place(view: &LedgerView<'_>, at: TxLocation) -> Result<Place, Problem> {
    let tip = view.tip()?.map_or(at.height, |tip| tip.height);
    Ok(Place {
        hash: at.block.to_string(),
        height: at.height.get(),
        index: at.index,
        confirmations: tip.get().saturating_sub(at.height.get()) + 1,
    })
}

fn included(view: &LedgerView<'_>, id: TxId) -> Result<Option<Transaction>, Problem> {
    let Some((at, line)) = find(view, id)? else {
        return Ok(None);
    };
    let mut tokens = BlockLine::new(&line).transactions();
    let Some(token) = tokens.nth(at.index as usize) else {
        return Ok(None);
    };
    let receipts = view.receipts_at(at.height)?;
    let receipt = receipts.into_iter().nth(at.index as usize);
    let receipt = receipt.map(|json| raw(String::from_utf8_lossy(&json).into_owned()));
    Ok(Some(Transaction {
        block: Some(place(view, at)?),
        receipt: receipt.transpose()?,
        ..Transaction::pending(token)?
    }))
}

fn parse_id(text: &str) -> Result<TxId, Problem> {
    let id = text.parse();
    id.map_err(|error| Problem::bad("transaction", error))
}

fn unknown(id: TxId) -> Problem {
    let detail = format!("transaction {id} is neither in the chain nor pending");
    Problem::unknown("unknown_transaction", detail)
}

#[utoipa::path(get, path = "/api/v1/txs/{id}", tag = "ledger",
    params(("id" = String, Path, description = "A transaction's id", pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, body = Transaction), Refusals))]
pub(super) async fn transaction(
    api: Api,
    Path(id): Path<String>,
) -> Result<Json<Transaction>, Problem> {
    let id = parse_id(&id)?;
    if let Some(found) = api.read(move |view| included(view, id)).await? {
        return Ok(Json(found));
    }
    let pending = api.ask_pending(None, |reply| NodeCommand::Pending { id, reply });
    let pending = pending.await?;
    if let Some(pending) = pending {
        return Ok(Json(Transaction::pending(pending.token())?));
    }
    // It may have gone from the mempool into the chain between the two questions.
    let found = api.read(move |view| included(view, id)).await?;
    found.map(Json).ok_or_else(|| unknown(id))
}

/// Proves that a transaction is in a block: RFC 6962, SHA-256.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Proof {
    id: String,
    /// The transaction's token: the leaf is SHA-256(0x00 ‖ token).
    token: String,
    block: Place,
    /// The block's token: its SHA-256 is the block's hash, its claim `tx_root` is the tree's root.
    block_token: String,
    /// How many transactions the block holds.
    leaves: usize,
    /// The sibling hashes, from the leaf up.
    path: Vec<String>,
}

#[utoipa::path(get, path = "/api/v1/txs/{id}/proof", tag = "ledger",
    params(("id" = String, Path, description = "A transaction's id", pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, body = Proof), Refusals))]
pub(super) async fn proof(api: Api, Path(id): Path<String>) -> Result<Json<Proof>, Problem> {
    let id = parse_id(&id)?;
    let found = api.read(move |view| prove(view, id)).await?;
    found.map(Json).ok_or_else(|| {
        let detail = format!("transaction {id} is not in the chain");
        Problem::unknown("unknown_transaction", detail)
    })
}

fn prove(view: &LedgerView<'_>, id: TxId) -> Result<Option<Proof>, Problem> {
    let Some((at, line)) = find(view, id)? else {
        return Ok(None);
    };
    let line = BlockLine::new(&line);
    let proof = InclusionProof::new(line.transactions(), at.index as usize);
    let token = line.transactions().nth(at.index as usize);
    let (Some(proof), Some(token)) = (proof, token) else {
        return Ok(None);
    };
    Ok(Some(Proof {
        id: id.to_string(),
        token: token.to_owned(),
        block: place(view, at)?,
        block_token: line.token().to_owned(),
        leaves: proof.leaves,
        path: proof.path.iter().map(hex).collect(),
    }))
}

/// Lower-case hex.
pub(super) fn hex(hash: &[u8; 32]) -> String {
    TxId::from_bytes(*hash).to_string()
}

/// A transaction that is taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Submitted {
    id: String,
}

#[utoipa::path(post, path = "/api/v1/txs", tag = "ledger",
    request_body(content = String, content_type = "application/jwt", description = "One transaction token"),
    responses(
        (status = 202, body = Submitted, description = "It is pending; `Location` is where it can be followed"),
        Refusals
    ))]
pub(super) async fn submit(api: Api, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !["application/jwt", "text/plain"].contains(&kind) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let detail = format!("the body is {kind:?}, want application/jwt");
        return Err(Problem::new(status, "media_type", detail));
    }
    let text = str::from_utf8(&body);
    let text = text.map_err(|_| Problem::bad("token_parts", "the body is not text"))?;
    let token = text.trim_ascii().to_owned();
    let submitted = api
        .ask(|reply| NodeCommand::Submit { token, reply })
        .await?;
    let id = submitted.map_err(|refusal| Problem::bad(refusal.reason(), refusal))?;
    let id = id.to_string();
    let place = [(header::LOCATION, format!("/api/v1/txs/{id}"))];
    Ok((StatusCode::ACCEPTED, place, Json(Submitted { id })).into_response())
}

#[utoipa::path(get, path = "/api/v1/mempool", tag = "ledger", params(Paging),
    responses((status = 200, body = Page<Transaction>, description = "Pending transactions, by id"), Refusals))]
pub(super) async fn mempool(
    api: Api,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Transaction>>, Problem> {
    let limit = paging.limit()?;
    let after = paging.after.as_deref().map(parse_id).transpose()?;
    let pending = api.ask_pending(Vec::new(), |reply| NodeCommand::Mempool {
        after,
        limit: limit + 1,
        reply,
    });
    let pending = pending.await?;
    let pending = pending.iter().map(|tx| Transaction::pending(tx.token()));
    let pending = pending.collect::<Result<_, _>>()?;
    Ok(Json(Page::cut(pending, limit, |tx| tx.id.clone())))
}
