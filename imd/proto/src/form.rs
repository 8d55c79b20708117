//! Data forms (XEP-0004).

use crate::ns;
use crate::xml::Element;

/// A form's fields and their values, as submitted or shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// `form`, `submit`, `cancel` or `result`.
    pub form_type: String,
    /// The fields in order: name and values.
    pub fields: Vec<(String, Vec<String>)>,
}

impl Form {
    /// Read an `<x xmlns='jabber:x:data'/>` element.
    #[must_use]
    pub fn parse(x: &Element) -> Self {
        let fields = x
            .children()
            .filter(|c| c.is("field", ns::DATA_FORM))
            .filter_map(|field| {
                let values = field
                    .children()
                    .filter(|c| c.is("value", ns::DATA_FORM))
                    .map(Element::text)
                    .collect();
                Some((field.attr("var")?.to_owned(), values))
            })
            .collect();
        Self {
            form_type: x.attr("type").unwrap_or("submit").to_owned(),
            fields,
        }
    }

    /// The form in an element's children.
    #[must_use]
    pub fn find(parent: &Element) -> Option<Self> {
        parent.child("x", ns::DATA_FORM).map(Self::parse)
    }

    /// All values of a field; absent when the form does not have it.
    #[must_use]
    pub fn values(&self, name: &str) -> Option<&[String]> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_slice())
    }

    /// The first value of a field.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name)?.first().map(String::as_str)
    }

    /// A boolean field (`1`, `true`, `0`, `false`); absent when missing or something else.
    #[must_use]
    pub fn boolean(&self, name: &str) -> Option<bool> {
        match self.value(name)? {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        }
    }

    /// The `FORM_TYPE` (XEP-0068).
    #[must_use]
    pub fn context(&self) -> Option<&str> {
        self.value("FORM_TYPE")
    }
}

/// Builds a form element.
#[derive(Debug)]
pub struct FormBuilder(Element);

impl FormBuilder {
    /// A form of a type (`form`, `submit`, `result`) and with a `FORM_TYPE`.
    #[must_use]
    pub fn new(form_type: &'static str, context: &str) -> Self {
        Self(Element::new("x", ns::DATA_FORM).with_attr("type", form_type)).field(
            "FORM_TYPE",
            "hidden",
            None,
            &[context],
        )
    }

    /// A form of a type without a `FORM_TYPE`.
    #[must_use]
    pub fn plain(form_type: &'static str) -> Self {
        Self(Element::new("x", ns::DATA_FORM).with_attr("type", form_type))
    }

    /// Add a title.
    #[must_use]
    pub fn title(mut self, text: &str) -> Self {
        self.0
            .push(Element::new("title", ns::DATA_FORM).with_text(text));
        self
    }

    /// Add instructions.
    #[must_use]
    pub fn instructions(mut self, text: &str) -> Self {
        self.0
            .push(Element::new("instructions", ns::DATA_FORM).with_text(text));
        self
    }

    /// Add a field: name, type (`text-single`, `boolean`, …), label and values.
    #[must_use]
    pub fn field(mut self, name: &str, kind: &str, label: Option<&str>, values: &[&str]) -> Self {
        let field = Element::new("field", ns::DATA_FORM)
            .with_attr("var", name)
            .with_attr("type", kind)
            .with_opt_attr("label", label)
            .with_children(
                values
                    .iter()
                    .map(|v| Element::new("value", ns::DATA_FORM).with_text(*v)),
            );
        self.0.push(field);
        self
    }

    /// Add a choice: name, label, chosen value, and the options as value and label.
    #[must_use]
    pub fn choice(
        mut self,
        name: &str,
        label: &str,
        value: &str,
        options: &[(&str, &str)],
    ) -> Self {
        let field = Element::new("field", ns::DATA_FORM)
            .with_attr("var", name)
            .with_attr("type", "list-single")
            .with_attr("label", label)
            .with_child(Element::new("value", ns::DATA_FORM).with_text(value))
            .with_children(options.iter().map(|(value, label)| {
                Element::new("option", ns::DATA_FORM)
                    .with_attr("label", *label)
                    .with_child(Element::new("value", ns::DATA_FORM).with_text(*value))
            }));
        self.0.push(field);
        self
    }

    /// The element.
    #[must_use]
    pub fn build(self) -> Element {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_form_reads_back() {
        let x = FormBuilder::new("submit", "urn:x")
            .field("a", "boolean", None, &["1"])
            .field("b", "text-multi", None, &["x", "y"])
            .build();
        let form = Form::parse(&x);
        assert_eq!(form.context(), Some("urn:x"));
        assert_eq!(form.boolean("a"), Some(true));
        assert_eq!(form.values("b").unwrap(), ["x", "y"]);
        assert_eq!(form.value("c"), None);
    }
}
