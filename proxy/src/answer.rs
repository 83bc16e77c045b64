//! Answers that the proxy makes itself.

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use talos_api::control::ControlResponse;
use talos_api::error::ApiError;
use uuid::Uuid;

use crate::cache::Entry;
use crate::limits;
use crate::upstream::{Body, held};
use crate::verification::CACHE_STATUS;

/// Names a request in answers and logs.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Headers of an answer that belong to the request that brought it, not to those that it answers later.
const OF_ONE_REQUEST: [HeaderName; 5] = [
    CONTENT_LENGTH,
    DATE,
    X_REQUEST_ID,
    CACHE_STATUS,
    hyper::header::AGE,
];

/// The client's id of its request if it may appear in an answer and a log as it is, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let echoable = |value: &&HeaderValue| {
        (1..=limits::REQUEST_ID_BYTES).contains(&value.len())
            && value.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    headers
        .get(X_REQUEST_ID)
        .filter(echoable)
        .cloned()
        .unwrap_or_else(|| {
            let id = Uuid::new_v4().simple().to_string();
            // Hexadecimal digits are a value.
            HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
        })
}

/// An answer of the API's form.
pub(crate) fn own(answer: ControlResponse, request_id: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(held(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
        .headers_mut()
        .insert(X_REQUEST_ID, request_id.clone());
    response
}

/// An error to a request that may not have been read to its end, so that nothing can follow it.
pub(crate) fn last(error: ApiError, request_id: &HeaderValue) -> Response<Body> {
    let mut response = own(error.into(), request_id);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// An answer that was kept.
pub(crate) fn kept(entry: &Entry, request_id: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(held(entry.body.clone()));
    entry.headers.clone_into(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(CACHE_STATUS, HeaderValue::from_static("HIT"));
    headers.insert(X_REQUEST_ID, request_id.clone());
    response
}

/// What of an answer can be kept: its lasting headers, and its body in memory of its own.
pub(crate) fn lasting(headers: &HeaderMap, body: &[u8]) -> (HeaderMap, Bytes) {
    let mut headers = headers.clone();
    for name in &OF_ONE_REQUEST {
        headers.remove(name);
    }
    (headers, Bytes::copy_from_slice(body))
}
