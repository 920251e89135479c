// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The resources of the server.  Each is a module with a function that responds to GET.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};

use super::super::published::Published;
use super::hosts::Hosts;
use super::metrics;

/// The response of a resource.
pub type Answer = Response<Full<Bytes>>;

/// A function that responds to GET, from the headers of the request and what has been
/// published.
type Resource = fn(&HeaderMap, &Published) -> Answer;

/// The resources by path.
const RESOURCES: &[(&str, Resource)] = &[("/metrics", metrics::respond)];

/// Responds to a request.
pub fn respond<B>(request: &Request<B>, hosts: &Hosts, published: &Published) -> Answer {
    let mut response = if !is_for_this_host(request, hosts) {
        refuse(StatusCode::MISDIRECTED_REQUEST, "this host has another name; see --host-name in tcpstats(1)\n")
    } else if let Some((_, resource)) = RESOURCES.iter().find(|(path, _)| *path == request.uri().path()) {
        match *request.method() {
            // For HEAD, the server omits the body.
            Method::GET | Method::HEAD => resource(request.headers(), published),
            _ => {
                let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
        }
    } else {
        refuse(StatusCode::NOT_FOUND, "not found; the metrics are at /metrics\n")
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns whether a request names this host.  A web page of another host whose name an
/// attacker makes resolve to the address of this host must not be able to read anything.
fn is_for_this_host<B>(request: &Request<B>, hosts: &Hosts) -> bool {
    let mut named = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return false;
    };
    host.to_str().is_ok_and(|host| hosts.contain(host))
        && request.uri().authority().is_none_or(|authority| hosts.contain(authority.as_str()))
}

/// Returns a response with a body.
pub fn answer(status: StatusCode, media_type: &'static str, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn refuse(status: StatusCode, why: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(why.as_bytes()))
}
