//! Values as they are kept, with their place in the text, and as a parse function sees them.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key's or value's place in the text, in bytes.
pub(crate) type Span = Range<usize>;

/// A value and where it stands. The parser's own type borrows the text, which the document owns.
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

pub(crate) enum Kind {
    String(String),
    /// `None`: beyond 64 bits.
    Integer(Option<i64>),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Entries),
    Other(&'static str),
}

/// The keys of a table, each with its own place and its value.
pub(crate) type Entries = BTreeMap<String, (Span, Node)>;

pub(crate) fn entries(table: &DeTable<'_>) -> Entries {
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), (key.span(), node(value))))
        .collect()
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::String(text.to_string()),
        DeValue::Integer(number) => {
            Kind::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Boolean(value) => Kind::Boolean(*value),
        DeValue::Array(items) => Kind::Array(items.iter().map(node).collect()),
        DeValue::Table(table) => Kind::Table(entries(table)),
        other @ (DeValue::Float(_) | DeValue::Datetime(_)) => Kind::Other(other.type_str()),
    };
    Node {
        kind,
        span: value.span(),
    }
}

/// A TOML value handed to a parse function.
#[derive(Clone, Copy)]
pub struct Value<'d>(pub(crate) &'d Kind);

impl<'d> Value<'d> {
    /// The string, or `None` for another type.
    pub fn as_str(&self) -> Option<&'d str> {
        match self.0 {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, or `None` for another type.
    pub fn as_bool(&self) -> Option<bool> {
        match self.0 {
            Kind::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer, or `None` for another type or a number beyond 64 bits.
    pub fn as_integer(&self) -> Option<i64> {
        match self.0 {
            Kind::Integer(number) => *number,
            _ => None,
        }
    }

    /// The type's name, such as `string` or `array`.
    pub fn type_name(&self) -> &'static str {
        match self.0 {
            Kind::String(_) => "string",
            Kind::Integer(_) => "integer",
            Kind::Boolean(_) => "boolean",
            Kind::Array(_) => "array",
            Kind::Table(_) => "table",
            Kind::Other(name) => name,
        }
    }
}
