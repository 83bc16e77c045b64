//! The values of `serve.http.client_ip_source`.

use crate::kind::Choice;
use crate::settings::{ClientIpSource, Settings};

/// Every name, and the source that it chooses.
pub(crate) const CLIENT_IP_SOURCES: [Choice; 7] = [
    ("CLIENT_IP_SOURCE_UNSPECIFIED", |s| {
        set(s, ClientIpSource::RemoteAddress);
    }),
    ("CLIENT_IP_SOURCE_REMOTE_ADDRESS", |s| {
        set(s, ClientIpSource::RemoteAddress);
    }),
    ("CLIENT_IP_SOURCE_REMOTE_ADDR", |s| {
        set(s, ClientIpSource::RemoteAddress);
    }),
    ("CLIENT_IP_SOURCE_CF_CONNECTING_IP", |s| {
        set(s, ClientIpSource::CfConnectingIp);
    }),
    ("CLIENT_IP_SOURCE_X_FORWARDED_FOR", |s| {
        set(s, ClientIpSource::XForwardedFor);
    }),
    ("CLIENT_IP_SOURCE_X_REAL_IP", |s| {
        set(s, ClientIpSource::XRealIp);
    }),
    ("CLIENT_IP_SOURCE_TRUE_CLIENT_IP", |s| {
        set(s, ClientIpSource::TrueClientIp);
    }),
];

fn set(settings: &mut Settings, source: ClientIpSource) {
    settings.serve.http.client_ip_source = source;
}
