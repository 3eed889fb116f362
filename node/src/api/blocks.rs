//! Blocks of the main chain and of side branches.

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use lyceum_protocol::{BlockHash, BlockLine, Height, Token, TxId};
use lyceum_storage::LedgerView;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::context::{Api, raw};
use super::paging::{Page, page_len};
use super::problem::{Problem, Refusals};

/// Lines read for one page of blocks, in bytes: four of the largest. A page ends with the block that passes it.
const PAGE_BYTES_MAX: u64 = 4 * lyceum_protocol::BLOCK_BYTES_LIMIT;

/// A block.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Block {
    /// SHA-256 of the token.
    hash: String,
    height: u64,
    /// The block's JWT.
    token: String,
    /// What the token says.
    #[schema(value_type = Object)]
    claims: Box<RawValue>,
    /// The ids of its transactions, in order.
    txs: Vec<String>,
    /// The length of the block line.
    bytes: usize,
    /// On the main chain?
    main: bool,
}

impl Block {
    pub(super) fn new(height: Height, line: &str, main: bool) -> Result<Self, Problem> {
        let line = BlockLine::new(line);
        let ids = line.transactions().map(|token| TxId::of(token.as_bytes()));
        Ok(Self {
            hash: BlockHash::of(line.token().as_bytes()).to_string(),
            height: height.get(),
            token: line.token().to_owned(),
            claims: claims(line.token())?,
            txs: ids.map(|id| id.to_string()).collect(),
            bytes: line.as_str().len(),
            main,
        })
    }
}

/// What a stored token says.
pub(super) fn claims(token: &str) -> Result<Box<RawValue>, Problem> {
    let decoded = Token::decode(token).map(|token| token.claims_text().to_owned());
    raw(decoded.unwrap_or_default())
}

/// Does the client want plain text?
fn wants_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.trim_start().starts_with("text/plain"))
}

fn text(lines: String) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (kind, lines).into_response()
}

/// Which blocks.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockRange {
    /// The first height; without it, the last `limit` blocks.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    from: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<usize>,
}

#[utoipa::path(get, path = "/api/v1/blocks", tag = "ledger", params(BlockRange), responses(
    (status = 200, description = "Blocks of the main chain, in order; with `Accept: text/plain` their lines", content(
        (Page<Block> = "application/json"), (String = "text/plain")
    )),
    Refusals
))]
pub(super) async fn blocks(
    api: Api,
    Query(range): Query<BlockRange>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = page_len(range.limit)?;
    let from = range.from.map(Height::new).transpose();
    let from = from.map_err(|error| Problem::bad("height", error))?;
    let lines = api.read(move |view| lines(view, from, limit)).await?;
    let (lines, next) = lines;
    if wants_text(&headers) {
        let lines = lines.into_iter().map(|(_, line)| line + "\n");
        return Ok(text(lines.collect()));
    }
    let blocks = lines
        .iter()
        .map(|(height, line)| Block::new(*height, line, true));
    let page = Page {
        items: blocks.collect::<Result<_, _>>()?,
        next: next.map(|height| height.to_string()),
    };
    Ok(Json(page).into_response())
}

type Lines = (Vec<(Height, String)>, Option<Height>);

/// Some lines of the main chain, and the height after them, if there is a block.
fn lines(view: &LedgerView<'_>, from: Option<Height>, limit: usize) -> Result<Lines, Problem> {
    let tip = view.tip()?.map_or(Height::ZERO, |tip| tip.height);
    let last = Height::new((tip.get() + 1).saturating_sub(limit as u64));
    let mut height = from.unwrap_or(last.unwrap_or(Height::ZERO));
    let (mut lines, mut bytes) = (Vec::new(), 0);
    while lines.len() < limit && bytes < PAGE_BYTES_MAX && height <= tip {
        let Some(line) = view.line_at(height)? else {
            break;
        };
        bytes += line.len() as u64;
        lines.push((height, line));
        height = height.next();
    }
    Ok((lines, Some(height).filter(|height| *height <= tip)))
}

#[utoipa::path(get, path = "/api/v1/blocks/{id}", tag = "ledger",
    params(("id" = String, Path, description = "A height or a block's hash", pattern = "^([0-9a-f]{64}|[0-9]{1,15})$")),
    responses(
        (status = 200, description = "The block; with `Accept: text/plain` its line", content(
            (Block = "application/json"), (String = "text/plain")
        )),
        Refusals
    ))]
pub(super) async fn block(
    api: Api,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = BlockId::parse(&id)?;
    let (height, line, main) = api.read(move |view| id.find(view)).await?;
    if wants_text(&headers) {
        return Ok(text(line));
    }
    let block = Block::new(height, &line, main)?;
    Ok(Json(block).into_response())
}

/// How a block is named.
#[derive(Debug, Clone, Copy)]
enum BlockId {
    Height(Height),
    Hash(BlockHash),
}

impl BlockId {
    fn parse(text: &str) -> Result<Self, Problem> {
        if let Ok(hash) = text.parse() {
            return Ok(Self::Hash(hash));
        }
        let height = text.parse().ok().filter(|_| !text.starts_with('+'));
        let height = height.and_then(|height: u64| Height::new(height).ok());
        let want = "want a height or 64 lower-case hex digits";
        height.map(Self::Height).ok_or(Problem::bad("block", want))
    }

    fn find(self, view: &LedgerView<'_>) -> Result<(Height, String, bool), Problem> {
        let missing = || match self {
            Self::Height(height) => {
                Problem::unknown("unknown_block", format!("no block has height {height} yet"))
            }
            Self::Hash(hash) => {
                Problem::unknown("unknown_block", format!("block {hash} is unknown"))
            }
        };
        match self {
            Self::Height(height) => {
                let line = view.line_at(height)?.ok_or_else(missing)?;
                Ok((height, line, true))
            }
            Self::Hash(hash) => {
                let entry = view.block(&hash)?.ok_or_else(missing)?;
                let line = view.line(&hash)?.ok_or_else(missing)?;
                Ok((entry.height, line, view.is_main(&hash)?))
            }
        }
    }
}
