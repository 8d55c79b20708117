// Runs a property over the kept corpus and over bounded changes of it; included by the tests of the crates that are fuzzed.

use std::path::Path;
use std::time::{Duration, Instant};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

/// Knuth's MMIX generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    /// A few random edits: flipped, removed and repeated bytes, and pieces of other inputs.
    fn mutate(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                1 if at < bytes.len() => bytes[at] = b"<>/&;'\"=!? "[self.below(11)],
                2 => {
                    let end = (at + self.below(16)).min(bytes.len());
                    bytes.drain(at..end);
                }
                3 => {
                    let end = (at + self.below(64)).min(bytes.len());
                    let piece = bytes[at..end].repeat(1 + self.below(6));
                    bytes.splice(at..at, piece);
                }
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len() + 1);
                    let to = (from + self.below(80)).min(other.len());
                    bytes.splice(at..at, other[from..to].iter().copied());
                }
            }
        }
        bytes
    }
}

pub fn run(target: &str, property: fn(&[u8])) {
    let corpus = corpus(target);
    for input in &corpus {
        property(input);
    }
    let seconds = Duration::from_secs(number_from("PERCH_FUZZ_SECONDS").unwrap_or(1));
    let seed = number_from("PERCH_FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("{target}: PERCH_FUZZ_SEED={seed}");
    let (mut random, begun, mut inputs) = (Random(seed), Instant::now(), 0_u64);
    while begun.elapsed() < seconds {
        let input = random.mutate(&corpus);
        if let Err(panic) = std::panic::catch_unwind(|| property(&input)) {
            println!(
                "the input (keep it in fuzz/corpus/{target}/): {:?}",
                String::from_utf8_lossy(&input)
            );
            std::panic::resume_unwind(panic);
        }
        inputs += 1;
    }
    println!(
        "{target}: {} kept inputs and {inputs} mutated ones",
        corpus.len()
    );
    assert!(inputs > 0, "no input was tried");
}
