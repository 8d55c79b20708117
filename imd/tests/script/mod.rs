//! Scripted conversations: read by [`parse`], played by [`play`].

mod parse;
mod play;
mod player;

use std::path::Path;

use anyhow::{Context as _, Result};

/// Run the conversation in a file.
pub async fn run(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file:?}"))?;
    run_text(&text).await
}

/// Run a conversation.
pub async fn run_text(text: &str) -> Result<()> {
    play::play(&parse::parse(text)?).await
}
