//! Reads the CSV file of an import (RFC 4180): columns by the names in its first line, every bad row named.
//!
//! `username` is needed; `password`, `display_name`, `groups` and `role` may be there, in any order. What stands in a field
//! is trimmed. Several groups are separated by `;` or `|`. Where the first line has semicolons and no commas, as some
//! spreadsheets write it, semicolons separate the fields.

use std::collections::HashMap;

use imd_store::Role;

use crate::admin::Fault;
use crate::admin::accounts::{display_name, role};
use crate::admin::people::{self, PASSWORD_CHARS};

/// The most people in one file.
const MOST_ROWS: usize = 20_000;
/// The most groups of one person.
const MOST_GROUPS: usize = 50;
/// Faults that are told; more are counted.
const MOST_FAULTS: usize = 1000;
const COLUMNS: [&str; 5] = ["username", "password", "display_name", "groups", "role"];

/// A person in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line in the file on which the row begins, from 1.
    pub line: u64,
    /// The name, prepared.
    pub username: String,
    /// The password; absent: nobody can log in until one is set.
    pub password: Option<String>,
    /// The name that others see.
    pub display_name: Option<String>,
    /// Names or ids of groups; those that do not exist are made.
    pub groups: Vec<String>,
    /// The role; `member` where the file has none.
    pub role: Role,
}

/// Where each column stands.
struct Columns([Option<usize>; COLUMNS.len()]);

impl Columns {
    fn read(header: &csv::StringRecord) -> Result<Self, Vec<Fault>> {
        let mut found = [None; COLUMNS.len()];
        let mut faults = Vec::new();
        for (at, title) in header.iter().enumerate() {
            let name = title.trim().to_lowercase().replace([' ', '-'], "_");
            let fault = match COLUMNS.iter().position(|c| *c == name) {
                None => format!("the column {title:?} is not known"),
                Some(column) if found[column].is_some() => {
                    format!("the column {name:?} stands there twice")
                }
                Some(column) => {
                    found[column] = Some(at);
                    continue;
                }
            };
            faults.push(Fault::new("line 1", fault, COLUMNS.join(", ")));
        }
        if found[0].is_none() {
            let missing = "the first line names no column \"username\"";
            faults.push(Fault::new("line 1", missing, COLUMNS.join(", ")));
        }
        if faults.is_empty() {
            Ok(Self(found))
        } else {
            Err(faults)
        }
    }

    /// A field of a row; absent when its column is missing or it is empty.
    fn get<'r>(&self, record: &'r csv::StringRecord, column: &str) -> Option<&'r str> {
        let at = COLUMNS.iter().position(|c| *c == column)?;
        record
            .get(self.0[at]?)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }
}

/// Counts lines: the reader of CSV stands before the end of the line above, and before empty lines.
struct Lines<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line on which the first thing at or behind this byte stands. Goes forward only.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let from = position.map_or(0, csv::Position::byte);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        while let Some(byte) = self.text.get(self.at) {
            if self.at >= from && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            let next = self.text.get(self.at + 1);
            // Also the line ends of old: a carriage return alone.
            if *byte == b'\n' || (*byte == b'\r' && next != Some(&b'\n')) {
                self.line += 1;
            }
            self.at += 1;
        }
        self.line
    }
}

/// Read a file.
///
/// # Errors
/// With every row that is wrong, by its line.
pub fn read(text: &str) -> Result<Vec<Row>, Vec<Fault>> {
    let (rows, faults) = read_all(text);
    if faults.is_empty() {
        Ok(rows)
    } else {
        Err(told(faults))
    }
}

/// At most as many faults as people read, and how many more there are.
pub fn told(mut faults: Vec<Fault>) -> Vec<Fault> {
    if faults.len() > MOST_FAULTS {
        let more = format!("{} more are wrong", faults.len() - MOST_FAULTS);
        faults.truncate(MOST_FAULTS);
        faults.push(Fault::new("file", more, ""));
    }
    faults
}

/// The rows that are right, and what is wrong with others.
pub fn read_all(text: &str) -> (Vec<Row>, Vec<Fault>) {
    match rows(text) {
        Ok(both) => both,
        Err(faults) => (Vec::new(), faults),
    }
}

fn rows(text: &str) -> Result<(Vec<Row>, Vec<Fault>), Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or_default();
    let semicolons = first.contains(';') && !first.contains(',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(if semicolons { b';' } else { b',' })
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader
        .headers()
        .map_err(|error| vec![Fault::new("line 1", error.to_string(), "")])?
        .clone();
    let columns = Columns::read(&header)?;
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    let mut counted = Lines {
        text: text.as_bytes(),
        at: 0,
        line: 1,
    };
    let mut lines: HashMap<String, u64> = HashMap::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = counted.of(error.position());
                faults.push(Fault::new(format!("line {line}"), error.to_string(), ""));
                continue;
            }
        };
        let line = counted.of(record.position());
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        if record.len() != header.len() {
            let found = format!("{} fields", record.len());
            let accepted = format!("{} fields, as in the first line", header.len());
            faults.push(Fault::new(format!("line {line}"), found, accepted));
            continue;
        }
        let row = match read_row(&columns, &record, line) {
            Ok(row) => row,
            Err(bad) => {
                faults.extend(bad);
                continue;
            }
        };
        if let Some(earlier) = lines.insert(row.username.clone(), line) {
            let found = format!("{:?} is on line {earlier} already", row.username);
            faults.push(Fault::new(format!("line {line}"), found, ""));
        }
        rows.push(row);
        if rows.len() > MOST_ROWS {
            let accepted = format!("up to {MOST_ROWS} people in one file");
            faults.push(Fault::new(
                format!("line {line}"),
                "one person too many",
                accepted,
            ));
            break;
        }
    }
    if rows.is_empty() && faults.is_empty() {
        let accepted = "a line of column names, then one line for each person";
        faults.push(Fault::new("file", "there is nobody in it", accepted));
    }
    Ok((rows, faults))
}

fn read_row(columns: &Columns, record: &csv::StringRecord, line: u64) -> Result<Row, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut wrong = |column: &str, found: String, accepted: &str| {
        faults.push(Fault::new(
            format!("line {line}, {column}"),
            found,
            accepted,
        ));
    };
    let names = "letters, digits and . _ - , without @ and what follows";
    let username = match columns.get(record, "username") {
        None => {
            wrong("username", "it is missing".to_owned(), names);
            None
        }
        Some(name) => {
            let prepared = people::username(name);
            if prepared.is_none() {
                wrong("username", format!("{name:?}"), names);
            }
            prepared
        }
    };
    let password = columns.get(record, "password").map(str::to_owned);
    if password
        .as_ref()
        .is_some_and(|p| p.chars().count() < PASSWORD_CHARS)
    {
        let accepted = format!("at least {PASSWORD_CHARS} characters, or none at all");
        wrong("password", "it is too short".to_owned(), &accepted);
    }
    let display = columns.get(record, "display_name").map(display_name);
    if let Some(Err(fault)) = &display {
        wrong("display_name", fault.found.clone(), &fault.accepted);
    }
    let role = columns
        .get(record, "role")
        .map(|text| role(&text.to_lowercase()));
    if let Some(Err(fault)) = &role {
        wrong("role", fault.found.clone(), &fault.accepted);
    }
    let mut groups: Vec<String> = Vec::new();
    let listed = columns.get(record, "groups").unwrap_or_default();
    for name in listed.split([';', '|']).map(str::trim) {
        if name.len() > 1023 || name.chars().any(char::is_control) {
            let accepted = "names of up to 1023 bytes on one line";
            wrong("groups", format!("{name:?}"), accepted);
        } else if !name.is_empty() && !groups.iter().any(|known| known == name) {
            groups.push(name.to_owned());
        }
    }
    if groups.len() > MOST_GROUPS {
        let accepted = format!("up to {MOST_GROUPS} groups");
        wrong("groups", format!("{} groups", groups.len()), &accepted);
    }
    match username {
        Some(username) if faults.is_empty() => Ok(Row {
            line,
            username,
            password,
            display_name: display.and_then(Result::ok),
            groups,
            role: role.and_then(Result::ok).unwrap_or(Role::Member),
        }),
        _ => Err(faults),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_fields_are_quoted_as_in_rfc_4180() {
        let text = "\u{feff}Role,username,Display Name,groups,password\r\n\
                    limited,Tom,\"Tom \"\"T\"\", 7\",\"Class 1a; Choir|Class 1a\",\" secret, pass \"\r\n\r\n\
                    ,ann,,,\r\n";
        let rows = read(text).unwrap();
        let tom = Row {
            line: 2,
            username: "tom".into(),
            password: Some("secret, pass".into()),
            display_name: Some("Tom \"T\", 7".into()),
            groups: vec!["Class 1a".into(), "Choir".into()],
            role: Role::Limited,
        };
        let ann = Row {
            line: 4,
            username: "ann".into(),
            password: None,
            display_name: None,
            groups: vec![],
            role: Role::Member,
        };
        assert_eq!(rows, [tom, ann]);
    }

    #[test]
    fn semicolons_separate_fields_where_the_first_line_has_no_comma() {
        let rows = read("username;groups\nann;\"a;b\"\nbob;c|d\n").unwrap();
        assert_eq!(rows[0].groups, ["a", "b"]);
        assert_eq!(rows[1].groups, ["c", "d"]);
    }

    #[test]
    fn every_bad_row_is_named_by_its_line() {
        let text = "username,password,role,display_name\n\
                    a@b,short,boss,\n\
                    ok,\"long enough\",member,\"two\nlines\"\n\
                    ok2,,,\n\
                    OK2,,,\n\
                    few\n\
                    ,,member,\n";
        let faults = read(text).unwrap_err();
        let at: Vec<_> = faults.iter().map(|f| f.at.as_str()).collect();
        assert_eq!(
            at,
            [
                "line 2, username",
                "line 2, password",
                "line 2, role",
                "line 3, display_name",
                "line 6",
                "line 7",
                "line 8, username",
            ]
        );
        assert!(faults[4].found.contains("line 5"), "{faults:?}");
    }

    #[test]
    fn a_file_without_the_needed_column_or_people_is_refused() {
        let unknown = read("name,role\nann,member\n").unwrap_err();
        assert_eq!(unknown.len(), 2, "{unknown:?}");
        assert!(unknown[0].found.contains("\"name\""), "{unknown:?}");
        for empty in ["", "username\n", "username,role\n,\n"] {
            assert!(read(empty).is_err(), "{empty:?}");
        }
    }
}
