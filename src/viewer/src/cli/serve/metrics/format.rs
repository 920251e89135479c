// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! The formats of the metrics, and which of them a client prefers.

/// A format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4 of Prometheus.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The protobuf format of Prometheus, the only one with native histograms.
    Protobuf,
}

/// The message and the encoding of the protobuf format.
const MESSAGE: &str = "io.prometheus.client.MetricFamily";
const DELIMITED: &str = "delimited";

impl Format {
    /// Returns the media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// Returns the format that a client prefers, by its Accept header.  Every client is
    /// assumed to accept text.
    pub fn accepted(accept: &str) -> Self {
        let (mut protobuf, mut open, mut text) = (0.0, 0.0, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let (mut quality, mut is_known, mut message, mut encoding) = (1.0, true, "", "");
            for parameter in parts {
                let (name, value) = parameter.split_once('=').unwrap_or_default();
                let value = value.trim_matches('"');
                match name {
                    "q" => quality = value.parse().unwrap_or(0.0_f64).clamp(0.0, 1.0),
                    "version" => is_known = matches!(value, "1.0.0" | "0.0.1" | "0.0.4"),
                    "proto" => message = value,
                    "encoding" => encoding = value,
                    _ => (),
                }
            }
            let best = match media {
                "application/vnd.google.protobuf" if message == MESSAGE && encoding == DELIMITED => &mut protobuf,
                "application/openmetrics-text" if is_known => &mut open,
                "text/plain" => &mut text,
                _ => continue,
            };
            *best = quality.max(*best);
        }
        if protobuf > 0.0 && protobuf >= open.max(text) {
            Self::Protobuf
        } else if open > 0.0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of Prometheus 2.42, without and with the feature native-histograms.
    const TEXT: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                        text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const NATIVE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                          application/openmetrics-text;version=1.0.0;q=0.8,\
                          application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

    #[test]
    fn the_format_is_the_one_that_the_client_prefers() {
        let quoted = "application/vnd.google.protobuf; encoding=\"delimited\"; \
                      proto=\"io.prometheus.client.MetricFamily\"; q=0.7, text/plain; version=0.0.4; q=0.3";
        for accept in [NATIVE, quoted] {
            assert_eq!(Format::accepted(accept), Format::Protobuf, "{accept}");
        }
        let other_message = NATIVE.replace("MetricFamily", "Other");
        let other_encoding = NATIVE.replace("delimited", "text");
        let less_preferred = NATIVE.replace("delimited,", "delimited;q=0.1,");
        for accept in [TEXT, &other_message, &other_encoding, &less_preferred, "application/openmetrics-text"] {
            assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
        }
        let only_newer = "application/openmetrics-text;version=2.0.0";
        let refused = "application/openmetrics-text;q=0";
        let plain = "text/plain, application/openmetrics-text;q=0.3";
        let bare = "application/vnd.google.protobuf";
        let anything = "text/html,*/*;q=0.8";
        for accept in ["", "*/*", anything, only_newer, refused, plain, bare, ";;,=q;q=", "text/plain;q=NaN"] {
            assert_eq!(Format::accepted(accept), Format::Prometheus, "{accept}");
        }
    }
}
