// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `/metrics`.

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, HeaderMap, HeaderValue, VARY};

use super::super::metrics::{Body, Format};
use super::super::published::Published;
use super::resources::{Answer, answer};

/// Responds with the metrics in the format that the client prefers.
pub fn respond(headers: &HeaderMap, published: &Published) -> Answer {
    let accepted: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::accepted(&accepted.join(","));
    let body = Body::new(published.last(), format);
    let mut response = answer(StatusCode::OK, format.media_type(), Bytes::from_owner(body));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}
