use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

/// The most things in one page.
pub(super) const PAGE_LEN_MAX: usize = 100;
/// The things in a page where the client does not say.
const PAGE_LEN: usize = 50;

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// The things, in the list's order.
    pub(super) items: Vec<T>,
    /// Where the next page starts: pass it as `after` (for blocks, as `from`); null at the end.
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// A page from up to `limit + 1` things: one too many means that there are more.
    pub(super) fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(cursor);
        Self { items, next }
    }
}

/// Which part of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    /// The `next` of the page before; from the start without it.
    pub(super) after: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<usize>,
}

impl Paging {
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        page_len(self.limit)
    }
}

/// The page length that a client asks for.
pub(super) fn page_len(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE_LEN);
    if !(1..=PAGE_LEN_MAX).contains(&limit) {
        let detail = format!("limit is {limit}, want 1 to {PAGE_LEN_MAX}");
        return Err(Problem::bad("limit", detail));
    }
    Ok(limit)
}
