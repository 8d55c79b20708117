//! Stream headers, read and written (RFC 6120 §4.7).

use imd_proto::xml::escape_into;
use imd_proto::{Element, Jid, StreamCondition, StreamError, ns};

use super::Header;

/// The server's header for a TCP stream of clients.
pub(super) fn header_xml(header: &Header) -> String {
    let mut out = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' version='1.0' xml:lang='en' id='{}' from='",
        ns::CLIENT,
        ns::STREAM,
        header.id
    );
    escape_into(&mut out, &header.from);
    if let Some(to) = &header.to {
        out.push_str("' to='");
        escape_into(&mut out, to);
    }
    out.push_str("'>");
    out
}

/// An element on a stream. Those of the stream itself keep the prefix that many clients look for.
pub(super) fn stream_xml(element: &Element, default_ns: &str) -> String {
    if element.ns() != ns::STREAM {
        return element.to_xml_in(default_ns);
    }
    let mut out = format!("<stream:{}>", element.name());
    for child in element.children() {
        out.push_str(&child.to_xml_in(default_ns));
    }
    out.push_str("</stream:");
    out.push_str(element.name());
    out.push('>');
    out
}

/// Check a client's header (RFC 6120 §4.9.3): what it says is wrong, if anything.
pub(super) fn check(header: &Element, domain: &str) -> Result<(), StreamError> {
    use StreamCondition as C;
    if header.name() != "stream" && header.name() != "open" {
        return Err(StreamError::with_text(
            C::BadFormat,
            "a stream begins with <stream:stream>",
        ));
    }
    if header.ns() != ns::STREAM && header.ns() != ns::FRAMING {
        return Err(StreamError::with_text(
            C::InvalidNamespace,
            format!("the namespace of a stream is {}", ns::STREAM),
        ));
    }
    match header.attr("to").map(str::parse::<Jid>) {
        Some(Ok(to)) if to.as_str() == domain => {}
        Some(Ok(_)) => {
            return Err(StreamError::with_text(
                C::HostUnknown,
                format!("this server is {domain}"),
            ));
        }
        Some(Err(_)) => return Err(C::ImproperAddressing.into()),
        None => {
            return Err(StreamError::with_text(
                C::HostUnknown,
                "the stream header needs a to",
            ));
        }
    }
    let major = header
        .attr("version")
        .and_then(|v| v.split('.').next())
        .and_then(|v| v.parse::<u32>().ok());
    if major.is_none_or(|major| major < 1) {
        return Err(StreamError::with_text(
            C::UnsupportedVersion,
            "version 1.0 is spoken here",
        ));
    }
    Ok(())
}
