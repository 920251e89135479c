// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The resources of the server.  Each is a module with a function that responds to GET.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::Full;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};

use super::super::published::Published;
use super::connection::Client;
use super::events::Stream;
use super::hosts::Hosts;
use super::{Page, Served, assets, events, metrics};

/// The response of a resource.
pub type Answer = Response<Body>;

/// The body of a response.
pub enum Body {
    /// A body that is complete.
    Full(Full<Bytes>),
    /// A stream of events.
    Stream(Stream),
}

impl Body {
    /// Returns a complete body.
    pub fn full(bytes: Bytes) -> Self {
        Self::Full(Full::new(bytes))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(context),
            Self::Stream(stream) => stream.poll_event(context).map(|event| event.map(Ok)),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Stream(_) => SizeHint::new(),
        }
    }
}

/// A request to read a resource.
pub struct Asked<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The query of its URL.
    pub query: &'a str,
    /// Whether only the headers of the response are sent.
    pub is_head: bool,
    /// The page.
    pub page: &'a Page,
    /// Who asked.
    pub client: &'a Arc<Client>,
}

/// A function that responds to GET, from the headers of the request and what has been
/// published.
type Resource = fn(&HeaderMap, &Published) -> Answer;

/// The resources by path.
const RESOURCES: &[(&str, Resource)] = &[("/metrics", metrics::respond)];

/// A function that responds to GET for the page.
type PageResource = fn(&Asked<'_>) -> Answer;

/// The resources of the page by path, besides its files.
const PAGE_RESOURCES: &[(&str, PageResource)] = &[("/events", events::respond), ("/filter", events::check)];

/// Responds to a request of a client.
pub fn respond<B>(request: &Request<B>, hosts: &Hosts, served: &Served, client: &Arc<Client>) -> Answer {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    // For HEAD, the server omits the body.
    let path = request.uri().path();
    let found = || match RESOURCES.iter().find(|(known, _)| *known == path) {
        Some((_, respond)) => Some(respond(request.headers(), &served.published)),
        None => served.page.as_ref().and_then(|page| respond_for_page(request, page, client)),
    };
    let mut response = if !is_for_this_host(request, hosts) {
        refuse(StatusCode::MISDIRECTED_REQUEST, "this host has another name; see --host-name in tcpstats(1)\n")
    } else if is_read {
        found().unwrap_or_else(|| refuse(StatusCode::NOT_FOUND, "not found; the metrics are at /metrics\n"))
    } else {
        let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        response
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Responds to a request for the page; `None` if it has nothing at the path.
fn respond_for_page<B>(request: &Request<B>, page: &Page, client: &Arc<Client>) -> Option<Answer> {
    let path = request.uri().path();
    let Some((_, respond)) = PAGE_RESOURCES.iter().find(|(known, _)| *known == path) else {
        return assets::respond(path);
    };
    let query = request.uri().query().unwrap_or_default();
    let is_head = request.method() == Method::HEAD;
    Some(respond(&Asked { headers: request.headers(), query, is_head, page, client }))
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
pub fn answer(status: StatusCode, media_type: &'static str, body: impl Into<Body>) -> Answer {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Returns a response with a reason.
pub fn refuse(status: StatusCode, why: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(why.as_bytes()))
}
