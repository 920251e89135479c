// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! `/` and the files of the page.

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};

use super::resources::{Answer, Body, answer};
use crate::uplot;

/// What the page may do: nothing but load its own files and read its own events.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// The files by path, with their media types.
const FILES: &[(&str, &str, &str)] = &[
    ("/", "text/html; charset=utf-8", include_str!("../page/assets/index.html")),
    ("/page.css", STYLE, include_str!("../page/assets/page.css")),
    ("/page.js", SCRIPT, include_str!("../page/assets/page.js")),
    ("/table.js", SCRIPT, include_str!("../page/assets/table.js")),
    ("/connection.js", SCRIPT, include_str!("../page/assets/connection.js")),
    ("/address.js", SCRIPT, include_str!("../page/assets/address.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../page/assets/icon.svg")),
    ("/uplot.js", SCRIPT, uplot::SCRIPT),
    ("/uplot.css", STYLE, uplot::STYLE),
    ("/chart.js", SCRIPT, uplot::CHART),
];

/// Responds with a file of the page; `None` if there is none at the path.
pub fn respond(path: &str) -> Option<Answer> {
    let (_, media_type, text) = FILES.iter().find(|(known, ..)| *known == path)?;
    let mut response = answer(StatusCode::OK, media_type, Body::full(Bytes::from_static(text.as_bytes())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    Some(response)
}
