//! Full-text search over the archive: what goes into the FTS5 index, and the index's query language.
//!
//! Words are those of Unicode. Chinese, Japanese and Korean are written without spaces, so each of
//! their characters is indexed as a word, and a run of them is searched for as a phrase.

use rusqlite::Connection;

use super::fault::Fault;
use super::writer::Tx;

/// Entries that one step of `backfill` indexes.
const BACKFILL: u32 = 200;

/// A change to the index.
pub(super) enum TextChange {
    Put { id: i64, owner: i64, body: String },
    Delete { id: i64 },
}

/// Makes the changes, in their order.
pub(super) fn apply(tx: &Tx, changes: &[TextChange]) -> Result<(), Fault> {
    for change in changes {
        match change {
            TextChange::Put { id, owner, body } => {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO archive_text (rowid, owner, body) VALUES (?, ?, ?)",
                )?
                .execute((id, owner_word(*owner), spaced(body)))?;
            }
            TextChange::Delete { id } => {
                tx.prepare_cached("DELETE FROM archive_text WHERE rowid = ?")?
                    .execute([id])?;
            }
        }
    }
    Ok(())
}

/// Notes that the index is wanted or not: entries that came before it was are left to `backfill`; an
/// index that is no longer wanted is emptied, as it would not follow deletions.
pub(super) fn switch(connection: &Connection, on: bool) -> Result<(), Fault> {
    let was_on = connection
        .prepare("SELECT 1 FROM store_state WHERE key = 'text-on'")?
        .exists([])?;
    if on && !was_on {
        connection.execute_batch(
            "INSERT INTO store_state VALUES ('text-on', 1);
             INSERT INTO store_state SELECT 'text-index-below', max(id) + 1 FROM archive HAVING max(id) IS NOT NULL;",
        )?;
    } else if !on && was_on {
        connection.execute_batch(
            "INSERT INTO archive_text (archive_text) VALUES ('delete-all');
             DELETE FROM store_state WHERE key IN ('text-on', 'text-index-below');",
        )?;
    }
    Ok(())
}

/// Indexes some entries that came while the search was switched off, newest first; false when none is left.
pub(super) fn backfill(tx: &Tx) -> Result<bool, Fault> {
    let transaction = tx.unchecked_transaction()?;
    let from: Option<i64> = transaction
        .prepare_cached("SELECT value FROM store_state WHERE key = 'text-index-below'")?
        .query_map([], |row| row.get(0))?
        .next()
        .transpose()?;
    let Some(from) = from else { return Ok(false) };
    let entries: Vec<(i64, i64, Option<String>)> = transaction
        .prepare_cached(
            "SELECT id, owner, body FROM archive WHERE id < ? ORDER BY id DESC LIMIT ?",
        )?
        .query_map((from, BACKFILL), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let last = entries.last().map(|(id, ..)| *id);
    let puts: Vec<TextChange> = entries
        .into_iter()
        .filter_map(|(id, owner, body)| body.map(|body| TextChange::Put { id, owner, body }))
        .collect();
    apply(tx, &puts)?;
    match last {
        Some(id) => transaction.execute(
            "UPDATE store_state SET value = ? WHERE key = 'text-index-below'",
            [id],
        )?,
        None => {
            transaction.execute("DELETE FROM store_state WHERE key = 'text-index-below'", [])?
        }
    };
    transaction.commit()?;
    Ok(last.is_some())
}

/// The FTS5 query for entries of one archive with all words of `text`; `None` when it has no words.
pub(super) fn query(owner: i64, text: &str) -> Option<String> {
    let spaced = spaced_phrases(text);
    if spaced.is_empty() {
        return None;
    }
    let words: String = spaced
        .iter()
        .map(|phrase| format!(" AND body : \"{phrase}\""))
        .collect();
    Some(format!("owner : \"{}\"{words}", owner_word(owner)))
}

fn owner_word(owner: i64) -> String {
    format!("o{owner}")
}

/// The text with spaces around each character that is a word by itself.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    for c in text.chars() {
        if is_word_by_itself(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// One phrase for each word, or run of characters that are words by themselves. Only letters and digits
/// (with their marks) get in, so nothing can end the quotes.
fn spaced_phrases(text: &str) -> Vec<String> {
    let mut phrases: Vec<String> = Vec::new();
    let mut open: Option<bool> = None;
    for c in text.chars() {
        if !c.is_alphanumeric() && !is_mark(c) {
            open = None;
            continue;
        }
        let single = is_word_by_itself(c);
        match phrases.last_mut().filter(|_| open == Some(single)) {
            Some(phrase) => {
                if single {
                    phrase.push(' ');
                }
                phrase.push(c);
            }
            None => phrases.push(c.to_string()),
        }
        open = Some(single);
    }
    phrases
}

/// Combining marks, which belong to the letter before them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}')
}

/// Han, Hiragana, Katakana and Hangul.
fn is_word_by_itself(c: char) -> bool {
    matches!(c,
        '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_chinese_runs_become_phrases() {
        assert_eq!(
            spaced_phrases("Hello, 今晚吃饭 at6点"),
            ["Hello", "今 晚 吃 饭", "at6", "点"]
        );
    }

    #[test]
    fn a_query_cannot_break_out_of_its_quotes() {
        assert_eq!(query(7, "a\" OR owner:o8"), Some("owner : \"o7\" AND body : \"a\" AND body : \"OR\" AND body : \"owner\" AND body : \"o8\"".to_owned()));
    }

    #[test]
    fn a_text_without_words_is_no_query() {
        assert_eq!(query(7, " ?!\"* "), None);
    }
}
