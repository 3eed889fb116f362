use axum::Json;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lyceum_storage::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

const PROBLEM_JSON: &str = "application/problem+json";
/// How much of a framework's own refusal is passed on.
const DETAIL_BYTES_MAX: usize = 4_096;
/// When a client that was refused for load may try again, in seconds.
const RETRY_SECONDS: &str = "1";

/// Why a request is refused, as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the title is the status's.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The status, in words.
    #[schema(example = "Not Found")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 404)]
    status: u16,
    /// A short name that programs can compare: metrics count by it, too.
    #[schema(example = "unknown_block")]
    reason: &'static str,
    /// What was wrong, for people.
    detail: String,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        reason: &'static str,
        detail: impl std::fmt::Display,
    ) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            reason,
            detail: detail.to_string(),
        }
    }

    /// The request itself is wrong.
    pub(super) fn bad(reason: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason, detail)
    }

    /// There is no such thing.
    pub(super) fn unknown(reason: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason, detail)
    }

    /// Not now.
    pub(super) fn busy(reason: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, detail)
    }

    /// The client asks too often.
    pub(super) fn too_many(reason: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, reason, detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::SegmentDamaged { .. } => Self::busy("segment_damaged", error),
            _ => {
                tracing::error!(%error, "the ledger can't be read");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "storage", "the ledger can't be read: see the log")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static(PROBLEM_JSON);
        headers.insert(header::CONTENT_TYPE, kind);
        let is_load = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if is_load.contains(&status) {
            let after = HeaderValue::from_static(RETRY_SECONDS);
            headers.insert(header::RETRY_AFTER, after);
        }
        response
    }
}

/// One answer of the OpenAPI document for every refusal.
pub(super) struct Refusals;

impl utoipa::IntoResponses for Refusals {
    fn responses() -> std::collections::BTreeMap<
        String,
        utoipa::openapi::RefOr<utoipa::openapi::response::Response>,
    > {
        let schema = utoipa::openapi::Ref::from_schema_name(Problem::name());
        let content = utoipa::openapi::ContentBuilder::new().schema(Some(schema));
        let response = utoipa::openapi::ResponseBuilder::new()
            .description("Refused: problem details")
            .content(PROBLEM_JSON, content.build())
            .build();
        std::collections::BTreeMap::from([("default".to_owned(), response.into())])
    }
}

/// Gives the refusals of the framework (no such route, wrong method, malformed query, body too long) the form of all others.
pub(super) async fn describe(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || kind.is_some_and(|kind| kind == PROBLEM_JSON || kind == "application/json") {
        return response;
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, DETAIL_BYTES_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (reason, fallback) = match status {
        StatusCode::NOT_FOUND => ("unknown_path", "there is nothing here: see /openapi.json"),
        StatusCode::METHOD_NOT_ALLOWED => ("method", "this path takes other methods"),
        StatusCode::PAYLOAD_TOO_LARGE => ("body_size", "the body is too long"),
        StatusCode::REQUEST_TIMEOUT => ("timeout", "the request took too long"),
        status if status.is_client_error() => ("request", "the request is malformed"),
        _ => ("internal", "see the log"),
    };
    let detail = if text.is_empty() { fallback } else { &text };
    let mut problem = Problem::new(status, reason, detail).into_response();
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        problem.headers_mut().insert(header::ALLOW, allow.clone());
    }
    problem
}
