// What must hold for every input, in the fuzz targets and in `tests/fuzz_corpus.rs` (which includes this file).

mod http;

use std::sync::OnceLock;

use imd::store::ScramKeys;

pub use http::{bosh, http};

/// SCRAM's client messages never panic, and nobody gets in with rubbish.
pub fn scram(data: &[u8]) {
    use imd::sasl::{ChannelBinding, Hash, derive, scram};
    let mut binding = ChannelBinding::default();
    binding.add(ChannelBinding::EXPORTER, vec![1; 32]);
    let mut lines = data.splitn(2, |b| *b == b'\n');
    let (first, last) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    for plus in [false, true] {
        let Ok(first) = scram::ClientFirst::parse(first, plus, &binding) else {
            continue;
        };
        // Deriving keys is slow by design: once is enough.
        static KEYS: OnceLock<Option<ScramKeys>> = OnceLock::new();
        let Some(keys) = KEYS.get_or_init(|| derive("secret").ok().and_then(|c| c.sha256)) else {
            return;
        };
        let (exchange, _) = scram::Exchange::begin(
            Hash::Sha256,
            first,
            keys.clone(),
            "nonce",
            Some("digest"),
            true,
        );
        assert!(exchange.finish(last).is_err());
    }
}

/// A settings file is read or refused with problems, never with a panic.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(problems) = imd::config::parse("imd.toml", text) {
        assert!(!problems.to_string().is_empty());
    }
}

/// A CSV file of people is read or refused in words, and what is read can be imported.
pub fn people_csv(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match imd::admin::import::read(text) {
        Ok(rows) => {
            let mut names = std::collections::HashSet::new();
            assert!(!rows.is_empty());
            for row in rows {
                assert_eq!(
                    imd::admin::people::username(&row.username).as_deref(),
                    Some(&*row.username)
                );
                assert!(names.insert(row.username), "one name on two lines");
                assert!(row.groups.iter().all(|name| !name.trim().is_empty()));
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.len() <= 1001);
            assert!(
                faults
                    .iter()
                    .all(|f| !f.at.is_empty() && !f.found.is_empty())
            );
        }
    }
}
