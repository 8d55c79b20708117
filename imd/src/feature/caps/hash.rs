//! The verification string of entity capabilities (XEP-0115 §5), as a pure function of a disco#info result.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imd_proto::{Element, ns};
use ring::digest;

/// The `ver` for a disco#info result; `None` when the result is ill-formed (§5.4), or the hash is not known here.
#[must_use]
pub fn ver(info: &Element, hash: &str) -> Option<String> {
    let algorithm = match hash {
        "sha-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        "sha-256" => &digest::SHA256,
        "sha-512" => &digest::SHA512,
        _ => return None,
    };
    let text = verification_text(info)?;
    Some(STANDARD.encode(digest::digest(algorithm, text.as_bytes())))
}

/// The text that is hashed (§5.1).
fn verification_text(info: &Element) -> Option<String> {
    let named = |name: &'static str| info.children().filter(move |c| c.is(name, ns::DISCO_INFO));
    let identities = named("identity")
        .map(|i| {
            format!(
                "{}/{}/{}/{}",
                i.attr("category").unwrap_or_default(),
                i.attr("type").unwrap_or_default(),
                i.attr_ns("lang", ns::XML).unwrap_or_default(),
                i.attr("name").unwrap_or_default()
            )
        })
        .collect();
    let features = named("feature")
        .map(|f| f.attr("var").unwrap_or_default().to_owned())
        .collect();
    let forms = info
        .children()
        .filter(|c| c.is("x", ns::DATA_FORM))
        .filter_map(form_text)
        .collect::<Option<Vec<_>>>()?;
    let mut out = String::new();
    for part in sorted_once(identities)?
        .into_iter()
        .chain(sorted_once(features)?)
    {
        push(&mut out, &part)?;
    }
    let names: Vec<_> = forms.iter().map(|(name, _)| name.clone()).collect();
    sorted_once(names)?;
    let mut forms = forms;
    forms.sort();
    for (name, fields) in forms {
        push(&mut out, &name)?;
        for field in fields {
            for part in field {
                push(&mut out, &part)?;
            }
        }
    }
    Some(out)
}

/// A form's type and its fields with their values, sorted. The outer `None`: the form does not count, as it has no
/// hidden `FORM_TYPE`; the inner: it is ill-formed.
fn form_text(form: &Element) -> Option<Option<(String, Vec<Vec<String>>)>> {
    let fields = || form.children().filter(|c| c.is("field", ns::DATA_FORM));
    let values = |field: &Element| -> Vec<String> {
        field
            .children()
            .filter(|c| c.is("value", ns::DATA_FORM))
            .map(Element::text)
            .collect()
    };
    let kind = fields().find(|f| f.attr("var") == Some("FORM_TYPE"))?;
    if kind.attr("type") != Some("hidden") {
        return None;
    }
    let kinds = values(kind);
    let Some((name, more)) = kinds.split_first() else {
        return Some(None);
    };
    if more.iter().any(|other| other != name) {
        return Some(None);
    }
    let mut rest: Vec<Vec<String>> = fields()
        .filter(|f| f.attr("var") != Some("FORM_TYPE"))
        .map(|f| {
            let mut values = values(f);
            values.sort();
            values.insert(0, f.attr("var").unwrap_or_default().to_owned());
            values
        })
        .collect();
    rest.sort();
    Some(Some((name.clone(), rest)))
}

/// Sorted; `None` when something stands there twice (§5.4 points 3 to 5).
fn sorted_once(mut parts: Vec<String>) -> Option<Vec<String>> {
    parts.sort();
    let before = parts.len();
    parts.dedup();
    (parts.len() == before).then_some(parts)
}

/// Append a part; `None` when it has the separator in it, by which two different results could look the same.
fn push(out: &mut String, part: &str) -> Option<()> {
    if part.contains('<') {
        return None;
    }
    out.push_str(part);
    out.push('<');
    Some(())
}

/// The most nodes that a client is taken to want.
const MAX_NODES: usize = 200;

/// The nodes that a disco#info result wants to hear of: its features that end in `+notify` (XEP-0163 §4.3), sorted.
#[must_use]
pub fn wanted_nodes(info: &Element) -> Vec<String> {
    let mut nodes: Vec<String> = info
        .children()
        .filter(|c| c.is("feature", ns::DISCO_INFO))
        .filter_map(|f| f.attr("var")?.strip_suffix("+notify"))
        .take(MAX_NODES)
        .map(str::to_owned)
        .collect();
    nodes.sort();
    nodes.dedup();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use imd_proto::xml::{Limits, parse_document};

    fn info(inner: &str) -> Element {
        let text = format!("<query xmlns='{}'>{inner}</query>", ns::DISCO_INFO);
        parse_document(&text, Limits::default()).unwrap()
    }

    /// XEP-0115 §5.2.
    #[test]
    fn the_simple_example_has_its_hash() {
        let simple = info(
            "<identity category='client' type='pc' name='Exodus 0.9.1'/>
             <feature var='http://jabber.org/protocol/disco#info'/>
             <feature var='http://jabber.org/protocol/caps'/>
             <feature var='http://jabber.org/protocol/disco#items'/>
             <feature var='http://jabber.org/protocol/muc'/>",
        );
        assert_eq!(
            ver(&simple, "sha-1").as_deref(),
            Some("QgayPKawpkPSDYmwT/WM94uAlu0=")
        );
    }

    /// XEP-0115 §5.3.
    #[test]
    fn the_complex_example_has_its_hash() {
        let complex = info(
            "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
             <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>
             <feature var='http://jabber.org/protocol/caps'/>
             <feature var='http://jabber.org/protocol/disco#info'/>
             <feature var='http://jabber.org/protocol/disco#items'/>
             <feature var='http://jabber.org/protocol/muc'/>
             <x xmlns='jabber:x:data' type='result'>
               <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
               <field var='ip_version'><value>ipv4</value><value>ipv6</value></field>
               <field var='os'><value>Mac</value></field>
               <field var='os_version'><value>10.5.1</value></field>
               <field var='software'><value>Psi</value></field>
               <field var='software_version'><value>0.11</value></field>
             </x>",
        );
        assert_eq!(
            ver(&complex, "sha-1").as_deref(),
            Some("q07IKJEyjvHSyhy//CH0CxmKi8w=")
        );
    }

    #[test]
    fn an_ill_formed_result_has_no_hash() {
        for inner in [
            "<feature var='a'/><feature var='a'/>",
            "<identity category='a' type='b'/><identity category='a' type='b'/>",
            "<feature var='a&lt;b'/>",
        ] {
            assert_eq!(ver(&info(inner), "sha-1"), None, "{inner}");
        }
        assert_eq!(ver(&info("<feature var='a'/>"), "md5"), None);
    }

    #[test]
    fn wanted_nodes_are_the_notify_features() {
        let client = info("<feature var='b+notify'/><feature var='c'/><feature var='a+notify'/>");
        assert_eq!(wanted_nodes(&client), ["a", "b"]);
    }
}
