// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The siftr_cdev maintainers

//! Renders SVG as PNG, with an embedded font: the result is the same on every
//! machine.

use std::sync::Arc;

use anyhow::{Context, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// See `vendor/dejavu/README.md`.
const FONT: &[u8] = include_bytes!("../../../vendor/dejavu/DejaVuSans.ttf");

/// The number of pixels of the PNG for each pixel of the SVG, in each direction.
const SCALE: u16 = 2;

/// Renders an image.
///
/// # Errors
/// Returns an error if the image does not fit into memory.
pub fn render(svg: &str) -> Result<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options).context("cannot render the image")?;
    let size = tree.size().to_int_size();
    let (width, height) = (size.width() * u32::from(SCALE), size.height() * u32::from(SCALE));
    let too_large = || format!("a PNG of {width} by {height} pixels does not fit into memory");
    let mut pixels = Pixmap::new(width, height).with_context(too_large)?;
    resvg::render(&tree, Transform::from_scale(f32::from(SCALE), f32::from(SCALE)), &mut pixels.as_mut());
    pixels.encode_png().context("cannot encode the image as PNG")
}
