//! A parsed file, and the problems found in it so far.

use std::cell::RefCell;
use std::path::Path;

use toml::de::DeTable;

use crate::value::{Entries, Span, entries};
use crate::{Problem, Problems, Table};

/// Settings files are written by people; one larger than this many bytes is not a settings file.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// A settings file: its values, and the problems noted in it while it is read.
pub struct Document {
    name: String,
    text: String,
    /// Where each line ends, in bytes.
    line_ends: Vec<usize>,
    root: Entries,
    problems: RefCell<Vec<Problem>>,
    /// With bad syntax, keys may be missing only because their line could not be read.
    syntax_errors: bool,
}

impl Document {
    /// Parses `text`; `name` is how problems call the file. Bad syntax is noted as problems, one for each place,
    /// and what could be read stays readable.
    pub fn parse(name: impl Into<String>, text: impl Into<String>) -> Self {
        let (name, text) = (name.into(), text.into());
        let (table, errors) = DeTable::parse_recoverable(&text);
        let root = entries(table.get_ref());
        let syntax_errors = !errors.is_empty();
        let line_ends = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| at)
            .collect();
        let document = Self {
            name,
            root,
            problems: RefCell::default(),
            syntax_errors,
            text: text.clone(),
            line_ends,
        };
        for error in errors {
            let line = document.line_of(&error.span().unwrap_or_default());
            document.note(
                "",
                line,
                format!("bad TOML: {}", one_line(error.message())),
                "TOML 1.0",
                None,
            );
        }
        document
    }

    /// Reads and parses a file. A file that cannot be read is noted as a problem too.
    pub fn read(path: &Path) -> Self {
        Self::read_as(path.display().to_string(), path)
    }

    /// Like [`Document::read`], with a name of its own for messages.
    pub fn read_as(name: impl Into<String>, path: &Path) -> Self {
        let name = name.into();
        let unreadable = |found: String, line: usize| {
            let document = Self {
                syntax_errors: true,
                ..Self::parse(name.clone(), "")
            };
            document.note(
                "",
                line,
                found,
                "a TOML file in UTF-8 of at most 1 MiB",
                None,
            );
            document
        };
        let size = match std::fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(error) => return unreadable(format!("no readable file: {error}"), 1),
        };
        if size > MAX_FILE_SIZE {
            return unreadable(format!("{size} bytes"), 1);
        }
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => return unreadable(format!("no readable file: {error}"), 1),
        };
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(name, text),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = 1 + error
                    .as_bytes()
                    .iter()
                    .take(good)
                    .filter(|byte| **byte == b'\n')
                    .count();
                unreadable("bytes that are not UTF-8".to_owned(), line)
            }
        }
    }

    /// The top-level table.
    pub fn root(&self) -> Table<'_> {
        Table::new(self, Some(&self.root), String::new(), 1)
    }

    /// The file's text as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The problems noted so far, in the order of their lines; `None` when there are none.
    pub fn problems(&self) -> Option<Problems> {
        let problems = self.problems.borrow();
        (!problems.is_empty()).then(|| Problems::new(problems.clone()))
    }

    /// Ends the reading: the value that was built from the file, or all problems noted on the way.
    ///
    /// # Errors
    /// All problems. A `None` without any problem (a mistake of the caller) is reported as a problem of the file.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Problems> {
        match (value, self.problems()) {
            (Some(value), None) => Ok(value),
            (_, Some(problems)) => Err(problems),
            (None, None) => {
                self.note(
                    "",
                    1,
                    "settings that could not be put together",
                    "a complete file",
                    None,
                );
                Err(Problems::new(self.problems.take()))
            }
        }
    }

    pub(crate) fn has_syntax_errors(&self) -> bool {
        self.syntax_errors
    }

    pub(crate) fn line_of(&self, span: &Span) -> usize {
        1 + self.line_ends.partition_point(|end| *end < span.start)
    }

    /// The text of a value as it was written, on one line and cut to a length that fits a message.
    pub(crate) fn source(&self, span: &Span) -> String {
        one_line(self.text.get(span.clone()).unwrap_or_default())
    }

    pub(crate) fn note(
        &self,
        key: &str,
        line: usize,
        found: impl Into<String>,
        accepted: impl Into<String>,
        hint: Option<String>,
    ) {
        self.problems.borrow_mut().push(Problem {
            file: self.name.clone(),
            line,
            // A quoted key may hold anything, also line ends.
            key: one_line(key),
            found: found.into(),
            accepted: accepted.into(),
            hint,
        });
    }
}

fn one_line(text: &str) -> String {
    const LONGEST: usize = 60;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let printable: String = words
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if printable.chars().count() <= LONGEST {
        return printable;
    }
    let mut cut: String = printable.chars().take(LONGEST).collect();
    cut.push('…');
    cut
}
