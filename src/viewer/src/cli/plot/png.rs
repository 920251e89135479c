// SPDX-License-Identifier: BSD-2-Clause

//! SVG as PNG, with a font of our own: it looks alike on every machine.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};
use tcpstats_source::Sentence;

/// See `vendor/dejavu/README.md`.
const FONT: &[u8] = include_bytes!("../../vendor/dejavu/DejaVuSans.ttf");

/// Pixels of the PNG to one of the SVG, for screens and printers of today.
const SCALE: u16 = 2;

/// Renders it.
///
/// # Errors
/// A sentence: it is too large.
pub fn render(svg: &str) -> Result<Vec<u8>, Sentence> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = Options { fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| format!("the picture cannot be rendered: {error}"))?;
    let size = tree.size().to_int_size();
    let scale = u32::from(SCALE);
    let too_large = || format!("a PNG of {} by {} pixels does not fit into memory", size.width(), size.height());
    let mut pixels = Pixmap::new(size.width() * scale, size.height() * scale).ok_or_else(too_large)?;
    resvg::render(&tree, Transform::from_scale(f32::from(SCALE), f32::from(SCALE)), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| format!("the picture cannot be written as PNG: {error}"))
}
