//! What a page says after a form has worked: a word in the address that stands for a text.

use serde::Deserialize;

use crate::web::texts::Texts;

/// The query of a page that shows a notice.
#[derive(Debug, Default, Deserialize)]
pub struct Notice {
    #[serde(default)]
    done: String,
}

/// Words and their texts; any other word says nothing.
const NOTICES: [(&str, &str); 12] = [
    ("saved", "done-saved"),
    ("added", "done-added"),
    ("deleted", "done-deleted"),
    ("frozen", "done-frozen"),
    ("thawed", "done-thawed"),
    ("closed", "done-closed"),
    ("undone", "done-undone"),
    ("key", "done-key"),
    ("key-checked", "done-key-checked"),
    ("confirmed", "done-confirmed"),
    ("ordered", "certificate-asked"),
    ("clock", "done-clock"),
];

impl Notice {
    /// The text. Absent: nothing was done.
    pub fn text(&self, t: Texts) -> Option<String> {
        let found = NOTICES.iter().find(|(word, _)| *word == self.done);
        found.map(|(_, key)| t.m(key))
    }
}
