//! A table of the file while it is read.

use crate::value::{Entries, Kind, Node};
use crate::{Document, Value};

/// Reads one table key by key. Every key that may stand in it must be asked for before [`Table::finish`].
pub struct Table<'d> {
    document: &'d Document,
    /// Absent when the file has no such table but the caller reads defaults through it.
    table: Option<&'d Entries>,
    path: String,
    line: usize,
    known: Vec<String>,
    secret: Vec<String>,
}

impl<'d> Table<'d> {
    pub(crate) fn new(
        document: &'d Document,
        table: Option<&'d Entries>,
        path: String,
        line: usize,
    ) -> Self {
        Self {
            document,
            table,
            path,
            line,
            known: Vec::new(),
            secret: Vec::new(),
        }
    }

    /// Line in the file where the table starts, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Whether the key is there, with whatever value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The bytes of [`Document::text`] where the value of `key` stands, for replacing it. `None` when it is absent.
    pub fn span(&self, key: &str) -> Option<std::ops::Range<usize>> {
        Some(self.get(key)?.span.clone())
    }

    /// Line in the file where the value of `key` stands, from 1; the table's own when it is absent.
    pub fn line_of(&self, key: &str) -> usize {
        self.get(key)
            .map_or(self.line, |value| self.document.line_of(&value.span))
    }

    /// Keeps the values of `key` out of messages, which show only their type and length. Call it before reading the key.
    pub fn secret(&mut self, key: &str) {
        self.secret.push(key.to_owned());
    }

    /// A value that must be there. `None` after noting a problem: it is missing or not accepted.
    pub fn required<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let before = self.get(key).is_some();
        let value = self.optional(key, &parse);
        if !before && !self.document.has_syntax_errors() {
            // Ask the parse function what it accepts by showing it a value that no setting takes.
            let accepted = match parse(&Value(&Kind::Table(Entries::new()))) {
                Ok(_) => "a value".to_owned(),
                Err(accepted) => accepted,
            };
            self.document
                .note(&self.key_path(key), self.line, "nothing", accepted, None);
        }
        value
    }

    /// A value that may be absent. `None` when it is, or after noting a problem.
    pub fn optional<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value<'_>) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key.to_owned());
        let value = self.get(key)?;
        self.parse_one(key, &self.key_path(key), value, &parse)
    }

    /// A list of values. `None` when it is absent, or after noting a problem: one for each item that is not accepted.
    pub fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value<'_>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.known.push(key.to_owned());
        let value = self.get(key)?;
        let path = self.key_path(key);
        let Kind::Array(array) = &value.kind else {
            self.note_value(
                key,
                &path,
                value,
                "a list, such as [\"one\", \"two\"]".to_owned(),
            );
            return None;
        };
        let items: Vec<Option<T>> = array
            .iter()
            .enumerate()
            .map(|(index, item)| self.parse_one(key, &format!("{path}[{index}]"), item, &parse))
            .collect();
        items.into_iter().collect()
    }

    /// A table inside this one. `None` when it is absent, or after noting that it is no table.
    pub fn table(&mut self, key: &str) -> Option<Table<'d>> {
        self.known.push(key.to_owned());
        let value = self.get(key)?;
        let path = self.key_path(key);
        match &value.kind {
            Kind::Table(table) => Some(Table::new(
                self.document,
                Some(table),
                path,
                self.document.line_of(&value.span),
            )),
            _ => {
                self.note_value(key, &path, value, format!("a table, written [{path}]"));
                None
            }
        }
    }

    /// Like [`Table::table`], but an absent table is read as an empty one, so that defaults and required keys work alike.
    pub fn table_or_empty(&mut self, key: &str) -> Table<'d> {
        let line = self.line;
        let path = self.key_path(key);
        self.table(key)
            .unwrap_or_else(|| Table::new(self.document, None, path, line))
    }

    /// The tables of an array of tables, `[[key]]`. Empty when absent; items that are no tables are noted.
    pub fn tables(&mut self, key: &str) -> Vec<Table<'d>> {
        self.known.push(key.to_owned());
        let Some(value) = self.get(key) else {
            return Vec::new();
        };
        let path = self.key_path(key);
        let accepted = || format!("tables, each written [[{path}]]");
        let Kind::Array(array) = &value.kind else {
            self.note_value(key, &path, value, accepted());
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, item) in array.iter().enumerate() {
            let item_path = format!("{path}[{index}]");
            match &item.kind {
                Kind::Table(table) => tables.push(Table::new(
                    self.document,
                    Some(table),
                    item_path,
                    self.document.line_of(&item.span),
                )),
                _ => self.note_value(key, &item_path, item, accepted()),
            }
        }
        tables
    }

    /// Every key of this table in alphabetical order, for tables whose keys are data. They count as known.
    pub fn keys(&mut self) -> Vec<String> {
        let keys: Vec<String> = self
            .table
            .into_iter()
            .flat_map(|table| table.keys())
            .cloned()
            .collect();
        self.known.extend(keys.iter().cloned());
        keys
    }

    /// Notes a problem with a value that was read, such as one that contradicts another key.
    pub fn reject(&self, key: &str, accepted: impl Into<String>) {
        let path = self.key_path(key);
        match self.get(key) {
            Some(value) => self.note_value(key, &path, value, accepted.into()),
            None => self
                .document
                .note(&path, self.line, "nothing", accepted, None),
        }
    }

    /// Ends the table: notes every key that nobody asked for, with the nearest known name as a hint.
    pub fn finish(self) {
        for (name, (span, _)) in self.table.into_iter().flatten() {
            if self.known.contains(name) {
                continue;
            }
            let accepted = if self.known.is_empty() {
                "no keys here".to_owned()
            } else {
                format!("one of {}", self.known.join(", "))
            };
            let hint = nearest(name, &self.known).map(|known| format!("did you mean {known}?"));
            let line = self.document.line_of(span);
            self.document
                .note(&self.key_path(name), line, "an unknown key", accepted, hint);
        }
    }

    fn get(&self, key: &str) -> Option<&'d Node> {
        Some(&self.table?.get(key)?.1)
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn parse_one<T>(
        &self,
        key: &str,
        path: &str,
        value: &Node,
        parse: impl Fn(&Value<'_>) -> Result<T, String>,
    ) -> Option<T> {
        match parse(&Value(&value.kind)) {
            Ok(value) => Some(value),
            Err(accepted) => {
                self.note_value(key, path, value, accepted);
                None
            }
        }
    }

    fn note_value(&self, key: &str, path: &str, value: &Node, accepted: String) {
        let found = if self.secret.iter().any(|secret| secret == key) {
            match &value.kind {
                Kind::String(text) => format!("a string of {} characters", text.chars().count()),
                _ => format!("a value of type {}", Value(&value.kind).type_name()),
            }
        } else {
            self.document.source(&value.span)
        };
        self.document.note(
            path,
            self.document.line_of(&value.span),
            found,
            accepted,
            None,
        );
    }
}

/// The known key within two edits of `name`, nearest first; `None` if there is none.
fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    known
        .iter()
        .map(|known| (edits(name, known), known.as_str()))
        .filter(|(distance, known)| *distance <= 2 && *distance < known.chars().count())
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            let here = (diagonal + usize::from(from != *to))
                .min(above + 1)
                .min(left + 1);
            diagonal = above;
            left = here;
            *cell = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
