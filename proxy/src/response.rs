//! Responses that the proxy makes itself.

use bytes::Bytes;
use hyper::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use talos_api::control::ControlResponse;
use talos_api::error::ApiError;
use uuid::Uuid;

use crate::cache::Entry;
use crate::limits;
use crate::upstream::{Body, full};
use crate::verification::CACHE_STATUS;

/// Names a request in responses and logs.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Response headers that are not stored, because they belong to a single request.
const PER_REQUEST: [HeaderName; 5] = [
    CONTENT_LENGTH,
    DATE,
    X_REQUEST_ID,
    CACHE_STATUS,
    hyper::header::AGE,
];

/// The client's request id if it is safe to echo in a response and in the log, else a new one.
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
            // Cannot fail: hexadecimal digits are a valid header value.
            HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
        })
}

/// A response in the form of the API.
pub(crate) fn local(answer: ControlResponse, request_id: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(full(answer.body));
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

/// An error that also closes the connection. For requests whose body may not have been read to its
/// end, because the next request could not be found on the connection.
pub(crate) fn local_and_close(error: ApiError, request_id: &HeaderValue) -> Response<Body> {
    let mut response = local(error.into(), request_id);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A response from the cache.
pub(crate) fn from_cache(entry: &Entry, request_id: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(full(entry.body.clone()));
    entry.headers.clone_into(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(CACHE_STATUS, HeaderValue::from_static("HIT"));
    headers.insert(X_REQUEST_ID, request_id.clone());
    response
}

/// The headers and the body of an upstream response as the cache stores them. The body is copied,
/// so that an entry does not keep a larger network buffer alive.
pub(crate) fn storable(headers: &HeaderMap, body: &[u8]) -> (HeaderMap, Bytes) {
    let mut headers = headers.clone();
    for name in &PER_REQUEST {
        headers.remove(name);
    }
    (headers, Bytes::copy_from_slice(body))
}
