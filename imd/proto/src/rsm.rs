//! Result set management (XEP-0059): which page of a long list is wanted, and which one was given.

use crate::ns;
use crate::xml::Element;

/// The page that a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// At most so many items; absent means the server's default.
    pub max: Option<u32>,
    /// Only items after this one.
    pub after: Option<String>,
    /// Only items before this one, the nearest to it; empty means the last page.
    pub before: Option<String>,
    /// Start at this index.
    pub index: Option<u32>,
}

impl PageRequest {
    /// Read the `<set/>` among an element's children; absent means everything, by default.
    ///
    /// # Errors
    /// With what is wrong when a number is none.
    pub fn find(parent: &Element) -> Result<Self, String> {
        let Some(set) = parent.child("set", ns::RSM) else {
            return Ok(Self::default());
        };
        let number = |name: &str| match set.child_text(name) {
            None => Ok(None),
            Some(text) => text
                .trim()
                .parse()
                .map(Some)
                .map_err(|_| format!("<{name}/> must be a whole number, found {text:?}")),
        };
        Ok(Self {
            max: number("max")?,
            after: set.child_text("after"),
            before: set.child_text("before"),
            index: number("index")?,
        })
    }

    /// Whether the page is counted from the end.
    #[must_use]
    pub fn is_backwards(&self) -> bool {
        self.before.is_some()
    }
}

/// Describe the page that was given: the first and last item's identifiers, the index of the first, and the total.
#[must_use]
pub fn page_element(
    first: Option<&str>,
    last: Option<&str>,
    index: Option<u64>,
    count: Option<u64>,
) -> Element {
    let mut set = Element::new("set", ns::RSM);
    if let Some(first) = first {
        set.push(
            Element::new("first", ns::RSM)
                .with_opt_attr("index", index.map(|i| i.to_string()))
                .with_text(first),
        );
    }
    if let Some(last) = last {
        set.push(Element::new("last", ns::RSM).with_text(last));
    }
    if let Some(count) = count {
        set.push(Element::new("count", ns::RSM).with_text(count.to_string()));
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::{Limits, parse_document};

    #[test]
    fn a_page_request_is_read() {
        let query = |inner: &str| {
            let text = format!("<q xmlns='u'><set xmlns='{}'>{inner}</set></q>", ns::RSM);
            PageRequest::find(&parse_document(&text, Limits::default()).unwrap())
        };
        let page = query("<max>10</max><before/>").unwrap();
        assert_eq!(
            (page.max, page.is_backwards(), page.before.as_deref()),
            (Some(10), true, Some(""))
        );
        assert!(query("<max>ten</max>").is_err());
    }
}
