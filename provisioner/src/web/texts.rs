//! All texts of the pages, from the catalogues in `locales/` (Fluent, projectfluent.org).
//!
//! `tests/texts.rs` finds texts that are missing in a language, that nobody uses, and words in templates.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// A language that there are texts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Chinese, in simplified characters.
    Zh,
}

/// All of them, with the name that each has in itself.
pub const LANGUAGES: [(Language, &str); 2] = [(Language::En, "English"), (Language::Zh, "中文")];

const EN: &[&str] = &[
    include_str!("../../locales/en/admin.ftl"),
    include_str!("../../locales/en/backups.ftl"),
    include_str!("../../locales/en/certificate.ftl"),
    include_str!("../../locales/en/common.ftl"),
    include_str!("../../locales/en/people.ftl"),
    include_str!("../../locales/en/said.ftl"),
    include_str!("../../locales/en/settings.ftl"),
    include_str!("../../locales/en/setup.ftl"),
    include_str!("../../locales/en/support.ftl"),
    include_str!("../../locales/en/target.ftl"),
    include_str!("../../locales/en/updates.ftl"),
];
const ZH: &[&str] = &[
    include_str!("../../locales/zh/admin.ftl"),
    include_str!("../../locales/zh/backups.ftl"),
    include_str!("../../locales/zh/certificate.ftl"),
    include_str!("../../locales/zh/common.ftl"),
    include_str!("../../locales/zh/people.ftl"),
    include_str!("../../locales/zh/said.ftl"),
    include_str!("../../locales/zh/settings.ftl"),
    include_str!("../../locales/zh/setup.ftl"),
    include_str!("../../locales/zh/support.ftl"),
    include_str!("../../locales/zh/target.ftl"),
    include_str!("../../locales/zh/updates.ftl"),
];

type Bundle = FluentBundle<FluentResource>;

static CATALOGUES: LazyLock<[Bundle; 2]> =
    LazyLock::new(|| [bundle(Language::En, EN), bundle(Language::Zh, ZH)]);

fn bundle(language: Language, sources: &[&str]) -> Bundle {
    let identifier: LanguageIdentifier = language.code().parse().unwrap_or_default();
    let mut bundle = FluentBundle::new_concurrent(vec![identifier]);
    // The marks would be seen in fields and titles; both languages run from left to right.
    bundle.set_use_isolating(false);
    for source in sources {
        // The tests hold the catalogues to having no errors; what is readable is used.
        let resource = match FluentResource::try_new((*source).to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        bundle.add_resource_overriding(resource);
    }
    bundle
}

impl Language {
    /// Its code (BCP 47).
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The language of a code.
    pub fn of_code(code: &str) -> Option<Self> {
        let known = LANGUAGES.iter().map(|(language, _)| *language);
        known.into_iter().find(|language| language.code() == code)
    }

    /// The first language of `Accept-Language` (RFC 9110 §12.5.4) that there are texts for. Browsers send it in the order
    /// of preference.
    pub fn of_header(header: &str) -> Option<Self> {
        header.split(',').find_map(|part| {
            let tag = part.split(';').next().unwrap_or_default().trim();
            Self::of_code(&tag.split('-').next().unwrap_or_default().to_lowercase())
        })
    }
}

/// A number, or a reference to one: templates pass values as references.
pub trait Number {
    /// The number.
    fn value(&self) -> u64;
}

impl Number for u64 {
    fn value(&self) -> u64 {
        *self
    }
}

impl<T: Number> Number for &T {
    fn value(&self) -> u64 {
        (**self).value()
    }
}

/// The texts of one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Texts(pub Language);

impl Texts {
    /// A text.
    pub fn m(&self, key: &str) -> String {
        self.format(key, None)
    }

    /// A text with values in it.
    pub fn with(&self, key: &str, values: &[(&str, &str)]) -> String {
        let mut arguments = FluentArgs::with_capacity(values.len());
        for (name, value) in values {
            arguments.set(*name, FluentValue::from(*value));
        }
        self.format(key, Some(&arguments))
    }

    /// A text with a number in it, `$n`, which chooses between singular and plural.
    pub fn count(&self, key: &str, number: impl Number) -> String {
        let mut arguments = FluentArgs::with_capacity(1);
        // Doubles hold every number that pages show.
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        arguments.set("n", FluentValue::from(number.value() as f64));
        self.format(key, Some(&arguments))
    }

    fn format(&self, key: &str, arguments: Option<&FluentArgs<'_>>) -> String {
        let [en, zh] = &*CATALOGUES;
        let bundle = match self.0 {
            Language::En => en,
            Language::Zh => zh,
        };
        let found = [bundle, en].into_iter().find_map(|bundle| {
            let pattern = bundle.get_message(key)?.value()?;
            let mut errors = Vec::new();
            Some(
                bundle
                    .format_pattern(pattern, arguments, &mut errors)
                    .into_owned(),
            )
        });
        found.unwrap_or_else(|| key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_first_that_a_browser_wants_and_there_is() {
        for (header, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Language::Zh)),
            ("de-DE, en-GB;q=0.7", Some(Language::En)),
            ("fr", None),
            ("", None),
        ] {
            assert_eq!(Language::of_header(header), language, "{header}");
        }
    }

    #[test]
    fn every_catalogue_can_be_read_whole() {
        for source in EN.iter().chain(ZH) {
            if let Err((_, errors)) = FluentResource::try_new((*source).to_owned()) {
                panic!("{errors:?} in {source}");
            }
        }
    }
}
