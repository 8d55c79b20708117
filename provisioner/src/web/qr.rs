//! Codes for cameras.

use qrcode::QrCode;
use qrcode::render::svg;

/// The code of a text, as an SVG element of 240 pixels or more. Empty if the text is too long for one.
pub fn svg(text: &str) -> String {
    let Ok(code) = QrCode::new(text) else {
        return String::new();
    };
    let drawn = code
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .build();
    // Without the XML declaration, which has no place in HTML.
    let start = drawn.find("<svg").unwrap_or_default();
    drawn
        .get(start..)
        .unwrap_or_default()
        .replacen("<svg", "<svg aria-hidden=\"true\"", 1)
}
