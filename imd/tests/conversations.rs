//! Runs the scripted conversations in `tests/conversations`: each file against a server of its own, over TLS with
//! real SCRAM. The language is described in `tests/conversations/README.md`.
//!
//! One line per file. `cargo test -p imd --test conversations -- carbons mam` runs those whose path has one of
//! the words. `IMD_CONVERSATIONS` does the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod script;
mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use tokio::task::JoinSet;

/// Files run at the same time.
const AT_ONCE: usize = 8;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conversations");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    files.sort();
    let words = words();
    let all = files.len();
    files.retain(|file| words.is_empty() || words.iter().any(|w| name(&folder, file).contains(w)));
    if std::env::args().any(|a| a == "--list") {
        for file in &files {
            println!("{}: test", name(&folder, file));
        }
        return ExitCode::SUCCESS;
    }
    let left_out = all - files.len();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let failed = runtime.block_on(run(&folder, files));
    println!("conversations: {failed} failed, {left_out} left out");
    // Nothing to run is a mistake in the filter or in the checkout, not a success.
    if failed > 0 || all == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The words to choose files by. Options of the usual test programs are not ours.
fn words() -> Vec<String> {
    let variable = std::env::var("IMD_CONVERSATIONS").unwrap_or_default();
    std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .chain(variable.split_whitespace().map(str::to_owned))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "txt") {
            files.push(path);
        }
    }
}

fn name(folder: &Path, file: &Path) -> String {
    file.strip_prefix(folder)
        .unwrap_or(file)
        .display()
        .to_string()
}

async fn run(folder: &Path, files: Vec<PathBuf>) -> usize {
    let mut waiting = files.into_iter();
    let mut running = JoinSet::new();
    let mut failed = 0;
    loop {
        while running.len() < AT_ONCE
            && let Some(file) = waiting.next()
        {
            let name = name(folder, &file);
            running.spawn(async move {
                let began = Instant::now();
                let outcome = script::run(&file).await;
                (name, outcome, began.elapsed())
            });
        }
        match running.join_next().await {
            None => return failed,
            Some(Ok((name, outcome, took))) => match outcome {
                Ok(()) => println!("ok    {name}  {:.1} s", took.as_secs_f32()),
                Err(error) => {
                    failed += 1;
                    println!("FAIL  {name}: {error:#}");
                }
            },
            Some(Err(panic)) => {
                failed += 1;
                println!("FAIL  a conversation: {panic}");
            }
        }
    }
}
