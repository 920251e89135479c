// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! uPlot (see `vendor/uplot/README.md`), and functions that the pages share.

/// uPlot.
pub const SCRIPT: &str = include_str!("../vendor/uplot/uPlot.iife.min.js");

/// Its style.
pub const STYLE: &str = include_str!("../vendor/uplot/uPlot.min.css");

/// Colours, axes and the text of values, after [`SCRIPT`].
pub const CHART: &str = include_str!("chart.js");
