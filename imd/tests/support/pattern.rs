//! What a stanza must look like: an element whose attributes and children have to be there.
//!
//! `{any}` stands for any text, `{capture:name}` for any text, kept, `{name}` for text kept before, and `{none}`
//! as the value of an attribute or as the text of a child for "must not be there".

use std::collections::HashMap;

use imd_proto::{Element, Node, ns, xml};

/// Texts captured so far, by name.
pub type Names = HashMap<String, String>;

/// Read the elements of a block of XML, whose default namespace is `jabber:client` and where `stream:` is known.
pub fn read(block: &str) -> Result<Vec<Element>, String> {
    let whole = format!(
        "<block xmlns='{}' xmlns:stream='{}'>{block}</block>",
        ns::CLIENT,
        ns::STREAM
    );
    let limits = xml::Limits {
        stanza_bytes: usize::MAX,
        depth: 1000,
        elements: usize::MAX,
    };
    let root = xml::parse_document(&whole, limits)
        .map_err(|error| format!("this is not well-formed XML: {error}\n{block}"))?;
    Ok(root.into_children().map(|e| without_space(&e)).collect())
}

/// The same without the white space between elements, which stands there for people.
fn without_space(element: &Element) -> Element {
    let mut out = Element::new(element.name().to_owned(), element.ns().to_owned());
    for attribute in element.attributes() {
        match &attribute.ns {
            Some(ns) => {
                out.set_attr_ns(attribute.name.clone(), ns.clone(), attribute.value.as_str())
            }
            None => out.set_attr(attribute.name.clone(), attribute.value.as_str()),
        }
    }
    let only_text = element.first_child().is_none();
    for node in element.nodes() {
        match node {
            Node::Element(child) => out.push(without_space(child)),
            Node::Text(text) if only_text => out.push_text(text.clone()),
            Node::Text(text) if text.trim().is_empty() => {}
            Node::Text(text) => out.push_text(text.clone()),
        }
    }
    out
}

/// Put captured texts where `{name}` stands, escaped for XML. Names that are not captured stay as they are.
pub fn fill(text: &str, names: &Names) -> String {
    let mut out = text.to_owned();
    for (name, value) in names {
        let mut escaped = String::new();
        xml::escape_into(&mut escaped, value);
        out = out.replace(&format!("{{{name}}}"), &escaped);
    }
    out
}

/// Whether an element is as the pattern wants it; if not, why. `exactly`: nothing more may be there.
pub fn matches(
    pattern: &Element,
    found: &Element,
    exactly: bool,
    names: &mut Names,
) -> Result<(), String> {
    let place = format!("<{}>", pattern.name());
    if !found.is(pattern.name(), pattern.ns()) {
        return Err(format!(
            "<{} xmlns='{}'> came, not <{} xmlns='{}'>",
            found.name(),
            found.ns(),
            pattern.name(),
            pattern.ns()
        ));
    }
    for attribute in pattern.attributes() {
        let value = match &attribute.ns {
            Some(ns) => found.attr_ns(&attribute.name, ns),
            None => found.attr(&attribute.name),
        };
        let name = &attribute.name;
        match (attribute.value.as_str(), value) {
            ("{none}", None) => {}
            ("{none}", Some(value)) => {
                return Err(format!(
                    "{place} has {name}='{value}', which must not be there"
                ));
            }
            (_, None) => return Err(format!("{place} lacks the attribute {name}")),
            (wanted, Some(value)) if !text(wanted, value, names) => {
                return Err(format!("{place} has {name}='{value}', not '{wanted}'"));
            }
            _ => {}
        }
    }
    if exactly {
        nothing_more(pattern, found)?;
    }
    let wanted = pattern.text();
    if !wanted.trim().is_empty() && !text(wanted.trim(), found.text().trim(), names) {
        return Err(format!(
            "the text of {place} is {:?}, not {wanted:?}",
            found.text()
        ));
    }
    children(pattern, found, exactly, names)
}

fn nothing_more(pattern: &Element, found: &Element) -> Result<(), String> {
    let place = format!("<{}>", pattern.name());
    for attribute in found.attributes() {
        let listed = pattern
            .attributes()
            .iter()
            .any(|a| a.name == attribute.name && a.ns == attribute.ns);
        if !listed {
            return Err(format!(
                "{place} has the attribute {} as well",
                attribute.name
            ));
        }
    }
    let wanted = pattern
        .children()
        .filter(|c| c.text().trim() != "{none}")
        .count();
    if found.children().count() > wanted {
        return Err(format!(
            "{place} has more children than the {wanted} expected"
        ));
    }
    if pattern.text().trim().is_empty() && !found.text().trim().is_empty() {
        return Err(format!("{place} has the text {:?}", found.text()));
    }
    Ok(())
}

/// Each child of the pattern needs a child of its own, in any order.
fn children(
    pattern: &Element,
    found: &Element,
    exactly: bool,
    names: &mut Names,
) -> Result<(), String> {
    let mut free: Vec<&Element> = found.children().collect();
    for wanted in pattern.children() {
        if wanted.text().trim() == "{none}" {
            if found.child(wanted.name(), wanted.ns()).is_some() {
                return Err(format!("<{}> must not be there", wanted.name()));
            }
            continue;
        }
        let mut why = format!(
            "<{}> lacks the child <{} xmlns='{}'>",
            pattern.name(),
            wanted.name(),
            wanted.ns()
        );
        let at = free.iter().position(|child| {
            let mut tried = names.clone();
            match matches(wanted, child, exactly, &mut tried) {
                Ok(()) => {
                    *names = tried;
                    true
                }
                Err(reason) => {
                    if child.is(wanted.name(), wanted.ns()) {
                        why = reason;
                    }
                    false
                }
            }
        });
        match at {
            Some(at) => drop(free.remove(at)),
            None => return Err(why),
        }
    }
    Ok(())
}

/// Whether a text is as wanted. Captures are kept only if it is.
fn text(wanted: &str, found: &str, names: &mut Names) -> bool {
    let Some((before, rest)) = wanted.split_once('{') else {
        return wanted == found;
    };
    let Some((name, after)) = rest.split_once('}') else {
        return wanted == found;
    };
    let Some(found) = found.strip_prefix(before) else {
        return false;
    };
    let kept = name.strip_prefix("capture:");
    if name != "any" && kept.is_none() {
        let Some(value) = names.get(name).cloned() else {
            // No name of ours: a brace is a brace.
            return found
                .strip_prefix(&format!("{{{name}}}"))
                .is_some_and(|rest| text(after, rest, names));
        };
        return found
            .strip_prefix(value.as_str())
            .is_some_and(|rest| text(after, rest, names));
    }
    for (at, _) in found.char_indices().chain([(found.len(), ' ')]).rev() {
        let mut tried = names.clone();
        if text(after, &found[at..], &mut tried) {
            if let Some(kept) = kept {
                tried.insert(kept.to_owned(), found[..at].to_owned());
            }
            *names = tried;
            return true;
        }
    }
    false
}
