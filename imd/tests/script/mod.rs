//! Scripted conversations: read by [`parse`], played by [`play`].

mod parse;
mod play;

use std::path::Path;

use anyhow::{Context as _, Result};

/// Run the conversation in a file.
pub async fn run(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {file:?}"))?;
    let steps = parse::parse(&text)?;
    play::play(&steps).await
}
