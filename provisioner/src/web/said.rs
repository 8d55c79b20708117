//! What the box's programs say, in the page's language.
//!
//! A reason is said once, in English: to the journal, to the command line, and to the page, which may show it a year later in any
//! language. The pages find which sentence of the catalogue `said.ftl` it is, as gettext finds a text by what it is in English, and say
//! that one with the same values. A sentence that nobody has put there stays as it is: a kernel's error, say.

use std::sync::LazyLock;

use super::texts::{Language, Texts};

/// The sentences as the programs say them, one in each line.
const SENTENCES: &str = include_str!("../../locales/en/said.ftl");
/// What stands between sentences that were put one after the other.
const BETWEEN: &str = "; ";

/// What a sentence consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Words(&'static str),
    Value(&'static str),
}

/// A sentence of the catalogue.
struct Sentence {
    key: &'static str,
    parts: Vec<Part>,
}

/// The one with the most words of its own comes first: another may say less of the same.
static ALL: LazyLock<Vec<Sentence>> = LazyLock::new(|| {
    let lines = SENTENCES.lines().filter(|line| !line.starts_with('#'));
    let split = lines.filter_map(|line| line.split_once(" = "));
    let mut all: Vec<Sentence> = split
        .map(|(key, text)| Sentence {
            key,
            parts: parts(text),
        })
        .collect();
    all.sort_by_key(|sentence| std::cmp::Reverse(sentence.words()));
    all
});

fn parts(text: &'static str) -> Vec<Part> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{ $") {
        let (name, after) = after.split_once(" }").unwrap_or((after, ""));
        found.extend([Part::Words(before), Part::Value(name)]);
        rest = after;
    }
    found.push(Part::Words(rest));
    found.retain(|part| *part != Part::Words(""));
    found
}

impl Sentence {
    fn words(&self) -> usize {
        let words = self.parts.iter().map(|part| match part {
            Part::Words(words) => words.len(),
            Part::Value(_) => 0,
        });
        words.sum()
    }

    /// The values in it. `None`: the text is another sentence.
    fn values<'a>(&self, text: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
        let mut values = Vec::new();
        let mut rest = text;
        let mut open = None;
        for part in &self.parts {
            match (part, open.take()) {
                (Part::Value(name), _) => open = Some(*name),
                (Part::Words(words), None) => rest = rest.strip_prefix(words)?,
                (Part::Words(words), Some(name)) => {
                    let (value, after) = rest.split_once(words)?;
                    values.push((name, value));
                    rest = after;
                }
            }
        }
        match open {
            Some(name) => values.push((name, rest)),
            None if !rest.is_empty() => return None,
            None => {}
        }
        Some(values)
    }
}

impl Texts {
    /// What a program said, in this language; as it is where the catalogue does not have it.
    #[must_use]
    pub fn said(&self, text: &str) -> String {
        match self.0 {
            Language::En => text.to_owned(),
            Language::Zh => self.in_turn(text),
        }
    }

    /// Sentences may have the same sign in them as stands between them, so the longest beginning that is one sentence counts.
    fn in_turn(&self, text: &str) -> String {
        if let Some(whole) = self.one(text) {
            return whole;
        }
        let places: Vec<usize> = text.match_indices(BETWEEN).map(|(at, _)| at).collect();
        let found = places.into_iter().rev().find_map(|at| {
            let (before, after) = (text.get(..at)?, text.get(at + BETWEEN.len()..)?);
            Some([self.one(before)?, self.in_turn(after)])
        });
        found.map_or_else(|| text.to_owned(), |both| both.join("；"))
    }

    fn one(&self, text: &str) -> Option<String> {
        let (key, values) = ALL
            .iter()
            .find_map(|sentence| Some((sentence.key, sentence.values(text)?)))?;
        // A value may be a sentence itself: what led to it.
        let values: Vec<(&str, String)> = values
            .into_iter()
            .map(|(name, value)| (name, self.in_turn(value)))
            .collect();
        let values: Vec<(&str, &str)> = values
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Some(self.with(key, &values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZH: Texts = Texts(Language::Zh);

    #[test]
    fn a_sentence_is_said_with_its_values() {
        assert_eq!(
            ZH.said(
                "the processor is at 85 °C: give the box air, and try again when it has cooled down"
            ),
            "处理器温度为 85 °C：请让盒子通风，冷却后再试"
        );
        assert_eq!(ZH.said("no stick was accepted"), "没有确认过 U 盘");
        let english = "the newest backup is 8 days old";
        assert_eq!(Texts(Language::En).said(english), english);
    }

    #[test]
    fn what_led_to_it_is_said_too_and_what_nobody_knows_stays() {
        assert_eq!(
            ZH.said(
                "logging in and sending a message does not work: the server refused the login: <not-authorized/>"
            ),
            "无法登录并发送消息：服务器拒绝登录：<not-authorized/>"
        );
        let unknown = "read /sys/x: Input/output error; and more";
        assert_eq!(ZH.said(unknown), unknown);
    }

    #[test]
    fn sentences_one_after_the_other_are_told_apart_also_where_one_has_a_semicolon() {
        let backup = "the newest backup is 8 days old: plug the stick in or start the target and make a backup, or make one for downloading \
            (page Backups, or `provisioner backup now`); `provisioner update install --without-backup` installs all the same";
        let hot =
            "the processor is at 85 °C: give the box air, and try again when it has cooled down";
        for both in [format!("{backup}; {hot}"), format!("{hot}; {backup}")] {
            let said = ZH.said(&both);
            assert!(
                said.contains("85 °C：") && said.contains("8 天前"),
                "{said}"
            );
            assert!(!said.contains("the ") && !said.contains("give"), "{said}");
        }
    }

    #[test]
    fn a_sentence_that_begins_like_another_is_not_taken_for_it() {
        let said = ZH.said("5 MiB are free and 9 are needed to unpack the backup");
        assert!(said.contains("解开备份"), "{said}");
    }

    #[test]
    fn each_sentence_is_found_as_itself() {
        for sentence in ALL.iter() {
            let mut text = String::new();
            for part in &sentence.parts {
                match part {
                    Part::Words(words) => text.push_str(words),
                    Part::Value(_) => text.push_str("17"),
                }
            }
            let found = ALL.iter().find(|other| other.values(&text).is_some());
            assert_eq!(found.map(|found| found.key), Some(sentence.key), "{text}");
        }
    }
}
