//! An XML element with its namespace, attributes and children.

use std::borrow::Cow;

use super::write;

/// A child of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Character data, unescaped.
    Text(String),
}

/// An attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The namespace of a prefixed attribute; absent for plain ones, which are nearly all.
    pub ns: Option<Cow<'static, str>>,
    /// The local name.
    pub name: Cow<'static, str>,
    /// The value, unescaped.
    pub value: String,
}

/// An XML element. Prefixes are not kept: a namespace is what counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    name: Cow<'static, str>,
    ns: Cow<'static, str>,
    attributes: Vec<Attribute>,
    children: Vec<Node>,
}

impl Element {
    /// An empty element.
    pub fn new(name: impl Into<Cow<'static, str>>, ns: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            ns: ns.into(),
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// An element without children. The attributes differ in namespace or name.
    pub(super) fn from_parts(
        name: Cow<'static, str>,
        ns: Cow<'static, str>,
        attributes: Vec<Attribute>,
    ) -> Self {
        Self {
            name,
            ns,
            attributes,
            children: Vec::new(),
        }
    }

    /// The local name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace; empty when there is none.
    #[must_use]
    pub fn ns(&self) -> &str {
        &self.ns
    }

    /// The namespace, to be shared with a child.
    pub(super) fn shared_ns(&self) -> &Cow<'static, str> {
        &self.ns
    }

    /// Whether name and namespace are these.
    #[must_use]
    pub fn is(&self, name: &str, ns: &str) -> bool {
        self.name == name && self.ns == ns
    }

    /// The value of a plain attribute.
    #[must_use]
    pub fn attr(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|a| a.ns.is_none() && a.name == name)
            .map(|a| a.value.as_str())
    }

    /// The value of an attribute with a namespace.
    #[must_use]
    pub fn attr_ns(&self, name: &str, ns: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|a| a.ns.as_deref() == Some(ns) && a.name == name)
            .map(|a| a.value.as_str())
    }

    /// All attributes.
    #[must_use]
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// Set a plain attribute, replacing an earlier value.
    pub fn set_attr(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        let value = value.into();
        match self
            .attributes
            .iter_mut()
            .find(|a| a.ns.is_none() && a.name == name)
        {
            Some(attribute) => attribute.value = value,
            None => self.attributes.push(Attribute {
                ns: None,
                name,
                value,
            }),
        }
    }

    /// Set an attribute with a namespace, replacing an earlier value.
    pub fn set_attr_ns(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        ns: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) {
        let (name, ns) = (name.into(), ns.into());
        self.attributes
            .retain(|a| !(a.name == name && a.ns.as_ref() == Some(&ns)));
        self.attributes.push(Attribute {
            ns: Some(ns),
            name,
            value: value.into(),
        });
    }

    /// Remove a plain attribute.
    pub fn remove_attr(&mut self, name: &str) {
        self.attributes.retain(|a| a.ns.is_some() || a.name != name);
    }

    /// The same with a plain attribute set.
    #[must_use]
    pub fn with_attr(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Self {
        self.set_attr(name, value);
        self
    }

    /// The same with a plain attribute set, where there is a value.
    #[must_use]
    pub fn with_opt_attr(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with_attr(name, value),
            None => self,
        }
    }

    /// The same with a child appended.
    #[must_use]
    pub fn with_child(mut self, child: Self) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// The same with children appended.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children
            .extend(children.into_iter().map(Node::Element));
        self
    }

    /// The same with text appended.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.push_text(text.into());
        self
    }

    /// Append a child.
    pub fn push(&mut self, child: Self) {
        self.children.push(Node::Element(child));
    }

    /// Append text, joining it with text that stands last.
    pub fn push_text(&mut self, text: String) {
        match self.children.last_mut() {
            Some(Node::Text(last)) => last.push_str(&text),
            _ if text.is_empty() => {}
            _ => self.children.push(Node::Text(text)),
        }
    }

    /// Children of both kinds, in order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.children
    }

    /// Child elements, in order.
    pub fn children(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// Child elements, in order, to change.
    pub fn children_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// Give up the element for its child elements.
    pub fn into_children(self) -> impl Iterator<Item = Self> {
        self.children.into_iter().filter_map(|n| match n {
            Node::Element(e) => Some(e),
            Node::Text(_) => None,
        })
    }

    /// The first child element of this name and namespace.
    #[must_use]
    pub fn child(&self, name: &str, ns: &str) -> Option<&Self> {
        self.children().find(|c| c.is(name, ns))
    }

    /// The first child element of this name and namespace, to change.
    pub fn child_mut(&mut self, name: &str, ns: &str) -> Option<&mut Self> {
        self.children_mut().find(|c| c.is(name, ns))
    }

    /// The first child element of this namespace.
    #[must_use]
    pub fn child_ns(&self, ns: &str) -> Option<&Self> {
        self.children().find(|c| c.ns() == ns)
    }

    /// The first child element.
    #[must_use]
    pub fn first_child(&self) -> Option<&Self> {
        self.children().next()
    }

    /// Remove the child elements that a test picks.
    pub fn remove_children(&mut self, mut remove: impl FnMut(&Self) -> bool) {
        self.children.retain(|n| match n {
            Node::Element(e) => !remove(e),
            Node::Text(_) => true,
        });
    }

    /// The text directly in the element.
    #[must_use]
    pub fn text(&self) -> String {
        self.children
            .iter()
            .filter_map(|n| match n {
                Node::Text(t) => Some(t.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// The text of the first child of this name in this element's own namespace, such as a message's body.
    #[must_use]
    pub fn child_text(&self, name: &str) -> Option<String> {
        self.children()
            .find(|c| c.name() == name && c.ns() == self.ns())
            .map(Self::text)
    }

    /// Move the element, and those below that share its namespace, into another one: between streams of
    /// clients and of servers (RFC 6120 §4.8.3).
    pub fn change_ns(&mut self, from: &str, to: &'static str) {
        if self.ns == from {
            self.ns = Cow::Borrowed(to);
            for child in self.children_mut() {
                child.change_ns(from, to);
            }
        }
    }

    /// Serialise where `default_ns` is already the default namespace: on a stream, that of the stream.
    #[must_use]
    pub fn to_xml_in(&self, default_ns: &str) -> String {
        let mut out = String::with_capacity(256);
        write::element_into(&mut out, self, default_ns);
        out
    }

    /// Serialise with every namespace declared.
    #[must_use]
    pub fn to_xml(&self) -> String {
        self.to_xml_in("")
    }
}
