//! Full-text search over the archive: what goes into the FTS5 index, and the index's query language.
//!
//! Words are those of Unicode. Chinese, Japanese and Korean are written without spaces, so each of
//! their characters is indexed as a word, and a run of them is searched for as a phrase.
//!
//! A message is indexed once, for all archives that have it, and later than it is written: in idle moments, or when somebody
//! searches one of them.

use rusqlite::{Connection, OptionalExtension as _};

use super::archive::read_body;
use super::fault::Fault;
use super::order;
use super::tx::Tx;

/// Messages that one step of [`catch_up`] indexes.
const STEP: u32 = 200;

/// A message whose text or archives have changed, or which is gone.
pub(super) struct TextChange(pub(super) i64);

/// Makes the changes, in their order.
pub(super) fn apply(tx: &Tx, changes: &[TextChange]) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    let below = indexed_below(tx)?;
    for TextChange(message) in changes {
        // What has not been indexed yet will be.
        if *message < below || is_indexed(tx, *message)? {
            index(tx, *message)?;
        }
    }
    Ok(())
}

fn indexed_below(connection: &Connection) -> Result<i64, Fault> {
    let sql = "SELECT ifnull((SELECT value FROM store_state WHERE key = 'text-below'), 0)";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?)
}

fn is_indexed(connection: &Connection, message: i64) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM archive_text WHERE rowid = ?";
    Ok(connection.prepare_cached(sql)?.exists([message])?)
}

/// Puts a message into the index as it is now; one that is gone or has no text is taken out.
fn index(connection: &Connection, message: i64) -> Result<(), Fault> {
    let sql = "SELECT stanza, body, body_at, body_length FROM messages WHERE id = ?";
    let body: Option<String> = connection
        .prepare_cached(sql)?
        .query_row([message], |row| {
            let stanza: String = row.get(0)?;
            Ok(read_body(&stanza, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?
        .flatten();
    let Some(body) = body else {
        connection
            .prepare_cached("DELETE FROM archive_text WHERE rowid = ?")?
            .execute([message])?;
        return Ok(());
    };
    let mut owners: Vec<i64> = order::places(connection, message)?
        .unwrap_or_default()
        .into_iter()
        .map(|place| place.owner)
        .collect();
    if owners.is_empty() {
        // A message of an older schema has one entry, with its own id.
        let sql = "SELECT owner FROM entries WHERE id = ?";
        owners = connection
            .prepare_cached(sql)?
            .query_map([message], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
    }
    let owners: Vec<String> = owners.into_iter().map(owner_word).collect();
    let sql = "INSERT OR REPLACE INTO archive_text (rowid, owner, body) VALUES (?, ?, ?)";
    connection
        .prepare_cached(sql)?
        .execute((message, owners.join(" "), spaced(&body)))?;
    Ok(())
}

/// Notes that the index is wanted or not: messages that came before it was are left to [`catch_up`]; an
/// index that is no longer wanted is emptied, as it would not follow deletions.
pub(super) fn switch(connection: &Connection, on: bool) -> Result<(), Fault> {
    let was_on = connection
        .prepare("SELECT 1 FROM store_state WHERE key = 'text-below'")?
        .exists([])?;
    if on && !was_on {
        connection.execute("INSERT INTO store_state VALUES ('text-below', 0)", [])?;
    } else if !on && was_on {
        connection.execute_batch(
            "INSERT INTO archive_text (archive_text) VALUES ('delete-all');
             DELETE FROM store_state WHERE key = 'text-below';",
        )?;
    }
    Ok(())
}

/// Indexes some messages that are not indexed yet, in their order; false when none is left.
pub(super) fn catch_up(tx: &Tx) -> Result<bool, Fault> {
    let transaction = tx.unchecked_transaction()?;
    let messages: Vec<i64> = transaction
        .prepare_cached("SELECT id FROM messages WHERE id >= ? ORDER BY id LIMIT ?")?
        .query_map((indexed_below(&transaction)?, STEP), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let Some(last) = messages.last() else {
        return Ok(false);
    };
    for message in &messages {
        if !is_indexed(&transaction, *message)? {
            index(&transaction, *message)?;
        }
    }
    transaction.execute(
        "UPDATE store_state SET value = ? WHERE key = 'text-below'",
        [last + 1],
    )?;
    transaction.commit()?;
    Ok(true)
}

/// Indexes the messages of one archive that are not indexed yet.
pub(super) fn index_owner(tx: &Tx, owner: i64) -> Result<(), Fault> {
    let messages: Vec<i64> = tx
        .prepare_cached("SELECT id - behind FROM entries WHERE owner = ? AND id >= ?")?
        .query_map((owner, indexed_below(tx)?), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for message in messages {
        if !is_indexed(tx, message)? {
            index(tx, message)?;
        }
    }
    Ok(())
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
