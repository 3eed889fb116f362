//! The page for people: one document, with its style and its script in it.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use base64_simd::STANDARD;
use lyceum_protocol::Hash;
use lyceum_protocol::kind;

use super::context::Api;
use super::problem::Refusals;

const HTML: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = concat!(
    include_str!("page/key.js"),
    include_str!("page/actions.js"),
    include_str!("page/script.js")
);

/// The document, and the policy under which a browser runs it: nothing from elsewhere, no code but this.
static PAGE: LazyLock<(String, String)> = LazyLock::new(|| {
    let document = HTML
        .replace("/*style*/", STYLE)
        .replace("/*script*/", SCRIPT);
    let hash = |text: &str| {
        let hash = Hash::<kind::Block>::of(text.as_bytes());
        STANDARD.encode_to_string(hash.as_bytes())
    };
    let (script, style) = (hash(SCRIPT), hash(STYLE));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    (document, policy)
});

#[utoipa::path(get, path = "/", tag = "operation", responses((status = 200, body = String, content_type = "text/html", description = "The page for people"), Refusals))]
pub(super) async fn page(_api: Api) -> Response {
    let (document, policy) = &*PAGE;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(document.as_str())).into_response()
}
