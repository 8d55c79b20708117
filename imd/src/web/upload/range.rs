//! Which part of a file is wanted (RFC 9110 §14).

/// What a request's `Range` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: there is no range, or one that may be ignored (RFC 9110 §14.2).
    All,
    /// These bytes, the last one included.
    Part(u64, u64),
    /// Bytes that the file does not have.
    Unsatisfiable,
}

/// Read a `Range` header for a file of `size` bytes.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(ranges) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    let Some((first, last)) = ranges.split_once('-').filter(|_| !ranges.contains(',')) else {
        return Wanted::All;
    };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => match suffix.min(size) {
            0 => Wanted::Unsatisfiable,
            suffix => Wanted::Part(size - suffix, size - 1),
        },
        (Some(from), None) if last.is_empty() => up_to(from, u64::MAX, size),
        (Some(from), Some(to)) if from <= to => up_to(from, to, size),
        _ => Wanted::All,
    }
}

fn up_to(from: u64, to: u64, size: u64) -> Wanted {
    if from < size {
        Wanted::Part(from, to.min(size - 1))
    } else {
        Wanted::Unsatisfiable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        use Wanted::{All, Part, Unsatisfiable};
        let cases = [
            (None, All),
            (Some("bytes=0-3"), Part(0, 3)),
            (Some("bytes=4-"), Part(4, 9)),
            (Some("bytes=-3"), Part(7, 9)),
            (Some("bytes=-30"), Part(0, 9)),
            (Some("bytes=8-100"), Part(8, 9)),
            (Some("bytes=10-"), Unsatisfiable),
            (Some("bytes=-0"), Unsatisfiable),
            (Some("bytes=5-4"), All),
            (Some("bytes=0-1,4-5"), All),
            (Some("bytes=+1-2"), All),
            (Some("bytes=a-b"), All),
            (Some("lines=0-1"), All),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Unsatisfiable);
    }
}
