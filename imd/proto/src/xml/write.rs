//! Serialisation. Every element declares its namespace when it differs from its parent's; no prefixes but `xml`.

use std::fmt::Write as _;

use super::element::{Element, Node};
use crate::ns;

/// Append text, escaped so that it can stand in content and in attribute values.
pub fn escape_into(out: &mut String, text: &str) {
    let mut rest = text;
    // By bytes: nearly always there is nothing to escape, and all that can be is ASCII.
    let special = |b| matches!(b, b'&' | b'<' | b'>' | b'\'' | b'"' | b'\r' | b'\n' | b'\t');
    while let Some(at) = rest.bytes().position(special) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'\'' => "&apos;",
            b'"' => "&quot;",
            b'\r' => "&#13;",
            b'\n' => "&#10;",
            _ => "&#9;",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

fn text_into(out: &mut String, text: &str) {
    let mut rest = text;
    let special = |b| matches!(b, b'&' | b'<' | b'>' | b'\r');
    while let Some(at) = rest.bytes().position(special) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            _ => "&#13;",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

pub(super) fn element_into(out: &mut String, element: &Element, default_ns: &str) {
    out.push('<');
    out.push_str(element.name());
    if element.ns() != default_ns {
        attribute_into(out, "xmlns", element.ns());
    }
    let mut prefixes = 0;
    for attribute in element.attributes() {
        match attribute.ns.as_deref() {
            None => attribute_into(out, &attribute.name, &attribute.value),
            Some(ns::XML) => {
                attribute_into(out, &format!("xml:{}", attribute.name), &attribute.value)
            }
            Some(other) => {
                // Writing to a String cannot fail.
                let _ = write!(out, " xmlns:n{prefixes}='");
                escape_into(out, other);
                out.push('\'');
                attribute_into(
                    out,
                    &format!("n{prefixes}:{}", attribute.name),
                    &attribute.value,
                );
                prefixes += 1;
            }
        }
    }
    if element.nodes().is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for node in element.nodes() {
        match node {
            Node::Element(child) => element_into(out, child, element.ns()),
            Node::Text(text) => text_into(out, text),
        }
    }
    out.push_str("</");
    out.push_str(element.name());
    out.push('>');
}

/// Append an attribute to a start tag.
pub fn attribute_into(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("='");
    escape_into(out, value);
    out.push('\'');
}
